/* `tfhost run FLOW`: options to one JSON object, which lua/tfhost/run.lua works on. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/rerun.h"
#include "cmd/transport_args.h"
#include "script/program.h"
#include "script/sources.h"
#include "script/state.h"

enum {
	KEY_LUA_DIR = 256,
	KEY_STORE_FILE,
	KEY_JSON,
	KEY_PLAIN,
	KEY_TOPICS,
	KEY_TIMEOUT,
	KEY_WATCH,
	KEY_BACKEND,
	KEY_DURABILITY,
	RUN_MAX_STORE = 64 << 20, /* bytes of a store file */
};

static const struct argp_option run_options[] = {
	{"engine", 'e', "NAME", 0,
		"serial (default), parallel, worker-based, or a URI as parallel://?max_workers=3", 0},
	{"topics", KEY_TOPICS, "A,B", 0, "Topics of workers (\"default\")", 0},
	{"store", 's', "NAME=VALUE", 0, "Value for the flow's tasks; what is JSON is taken as such", 0},
	{"store-file", KEY_STORE_FILE, "FILE", 0, "Values from a file with a JSON object; --store wins", 0},
	{"option", 'o', "NAME=VALUE", 0, "Any other option of the engine, as max_workers=4", 0},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0,
		"How long a request may wait for a worker (60; negative: for ever)", 0},
	{"backend", KEY_BACKEND, "FILE", 0,
		"Where the flow is kept: an SQLite file, or none (also: TFHOST_BACKEND; default: "
		"tfhost/flows.db in the "
		"user's state directory)",
		0},
	{"durability", KEY_DURABILITY, "HOW", 0,
		"normal (default: survives a kill; a power cut may cost the last steps), full, off", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object a line for each event, the results in the last", 0},
	{"plain", KEY_PLAIN, 0, 0, "Lines instead of a tree on a terminal", 0},
	{"watch", KEY_WATCH, 0, 0,
		"Run again whenever the flow's scripts change, and show what came out differently; keeps no "
		"flow "
		"unless --backend says where",
		0},
	{"verbose", 'v', 0, 0, "Log more", 0},
	{"lua-dir", KEY_LUA_DIR, "DIR", 0, "Take the library from the source tree DIR (also: TFHOST_LUA_DIR)",
		0},
	{0},
};

struct run_args {
	struct tf_transport_args transport;
	struct tf_value *engine, *store, *file_store; /* objects, owned */
	const char *reference, *backend, *durability;
	bool json, plain, watch;
};

/* A member whose value is always a string. */
static void run_set_string(struct tf_value **object, const char *name, const char *value)
{
	struct tf_buf text = TF_BUF_INIT;
	if (!value)
		return;
	tf_json_write_string(&text, value, tf_utf8_valid_len(value, strlen(value)));
	tf_args_set_member(object, name, text.data);
	tf_buf_free(&text);
}

/* What begins like JSON, and is none, is a mistake and not a text. */
static void run_check_json(const char *option, const char *pair, struct argp_state *state)
{
	struct tf_err err;
	const char *text = strchr(pair, '=');
	if (!text || !text[1] || !strchr("{[\"", text[1]))
		return;
	struct tf_value *v = tf_value_parse(text + 1, strlen(text + 1), 0, &err);
	if (!v)
		argp_error(state, "%s %.*s: %s", option, (int)(text - pair), pair, err.message);
	tf_value_unref(v);
}

static void run_set_pair(
	struct tf_value **object, const char *option, const char *pair, struct argp_state *state)
{
	const char *text;
	char *name = tf_args_split(pair, &text);
	if (!name) {
		argp_error(state, "%s: expected NAME=VALUE, got \"%s\"", option, pair);
		return;
	}
	tf_args_set_member(object, name, text);
	free(name);
}

static struct tf_value *run_read_object(const char *path, struct tf_err *err)
{
	struct tf_value *v = NULL;
	struct tf_buf text = TF_BUF_INIT;
	char chunk[1 << 16];
	size_t n;
	FILE *f = fopen(path, "r");
	if (!f) {
		tf_err_sys(err, "cannot open %s", path);
		return NULL;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && text.len <= RUN_MAX_STORE)
		tf_buf_append(&text, chunk, n);
	if (ferror(f)) {
		tf_err_sys(err, "cannot read %s", path);
	} else if (text.len > RUN_MAX_STORE) {
		tf_err_set(err, TF_ELIMIT, "%s: more than %d bytes", path, RUN_MAX_STORE);
	} else {
		v = tf_value_parse(text.len ? text.data : "", text.len, 0, err);
		if (!v)
			tf_err_prefix(err, "%s", path);
	}
	fclose(f);
	tf_buf_free(&text);
	if (v && tf_json_type(tf_value_json(v)) != TF_JSON_OBJECT) {
		tf_err_set(err, TF_EFORMAT, "%s: expected a JSON object", path);
		tf_value_unref(v);
		v = NULL;
	}
	return v;
}

static void run_set_store_file(struct run_args *args, const char *path, struct argp_state *state)
{
	struct tf_err err;
	tf_value_unref(args->file_store);
	args->file_store = run_read_object(path, &err);
	if (!args->file_store)
		argp_error(state, "--store-file: %s", err.message);
}

static error_t run_parse(int key, char *value, struct argp_state *state)
{
	struct run_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->transport;
		return 0;
	case 'e':
		run_set_string(&args->engine, "engine", value);
		return 0;
	case KEY_TOPICS:
		run_set_string(&args->engine, "topics", value);
		return 0;
	case KEY_TIMEOUT:
		run_set_string(&args->engine, "transition_timeout", value);
		return 0;
	case 'o':
		run_set_pair(&args->engine, "--option", value, state);
		return 0;
	case 's':
		run_check_json("--store", value, state);
		run_set_pair(&args->store, "--store", value, state);
		return 0;
	case KEY_STORE_FILE:
		run_set_store_file(args, value, state);
		return 0;
	case KEY_BACKEND:
		args->backend = value;
		return 0;
	case KEY_DURABILITY:
		args->durability = value;
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case KEY_PLAIN:
		args->plain = true;
		return 0;
	case KEY_WATCH:
		args->watch = true;
		return 0;
	case 'v':
		tf_log_set_level(TF_LOG_DEBUG);
		return 0;
	case KEY_LUA_DIR:
		setenv("TFHOST_LUA_DIR", value, 1);
		return 0;
	case ARGP_KEY_ARG:
		if (args->reference)
			argp_error(state, "one flow at a time: \"%s\" is too many", value);
		args->reference = value;
		return 0;
	case ARGP_KEY_END:
		if (!args->reference)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child run_children[] = {
	{&tf_transport_argp, 0, "Transport (worker-based engine):", 1}, {0}};

static const struct argp run_argp = {
	.options = run_options,
	.parser = run_parse,
	.args_doc = "FLOW",
	.doc = "Run a flow: FLOW is a Lua file or a module, with :NAME after it for one of several flows. It "
	       "returns a "
	       "flow or a function that builds one."
	       "\vExit codes: 0 SUCCESS, 2 the flow cannot be used, 3 REVERTED, 4 FAILURE, 5 no worker was "
	       "ever seen, "
	       "6 SUSPENDED, 64 wrong command line. Ctrl-C cancels: what runs on tfhost workers "
	       "and in processes of a parallel engine is ended, then the flow is reverted. TERM suspends: "
	       "what "
	       "runs is finished. Both end with 128 + signal; a second signal ends at once.",
	.children = run_children,
};

/* { reference, engine_options, store, file_store, json, plain } */
static struct tf_value *run_options_value(struct run_args *args)
{
	struct tf_value *all = NULL;
	run_set_string(&args->engine, "url", args->transport.url);
	run_set_string(&args->engine, "exchange", args->transport.exchange);
	run_set_string(&args->engine, "transport", args->transport.transport);
	if (args->transport.options)
		tf_args_set_member(
			&args->engine, "transport_options", tf_value_text(args->transport.options));
	run_set_string(&all, "reference", args->reference);
	run_set_string(&all, "backend", args->backend || !args->watch ? args->backend : "none");
	run_set_string(&all, "durability", args->durability);
	tf_args_set_member(&all, "engine_options", args->engine ? tf_value_text(args->engine) : "{}");
	/* As text: numbers that Lua cannot hold reach the flow as they are. */
	run_set_string(&all, "store", args->store ? tf_value_text(args->store) : "{}");
	run_set_string(&all, "file_store", args->file_store ? tf_value_text(args->file_store) : "{}");
	tf_args_set_member(&all, "json", args->json ? "true" : "false");
	tf_args_set_member(&all, "plain", args->plain ? "true" : "false");
	return all;
}

/* What a run needs; the state is made in the process that runs. */
struct run_job {
	const char *program;
	const struct tf_value *options;
};

/* `sources`: where to say which files were read, -1: nowhere. */
static int run_once(void *arg, int sources)
{
	const struct run_job *job = arg;
	struct lua_State *L = NULL;
	struct tf_err err;
	int code = TF_EXIT_ERROR;
	if (tf_state_new(NULL, &L, &err) < 0) {
		fprintf(stderr, "%s: %s\n", job->program, err.message);
		return code;
	}
	if (tf_program_run_module(L, "tfhost.run", job->options, &code) < 0)
		code = TF_EXIT_ERROR;
	if (sources >= 0) {
		FILE *to = fdopen(sources, "w");
		char **files = tf_sources_list(L, NULL);
		for (char **f = files; *f; f++) {
			if (to)
				fwrite(*f, 1, strlen(*f) + 1, to);
			free(*f);
		}
		free(files);
		if (to)
			fclose(to);
	}
	tf_state_delete(L);
	return code;
}

int tf_cmd_run(int argc, char **argv)
{
	struct run_args args = {0};
	argp_err_exit_status = TF_EXIT_USAGE;
	argp_parse(&run_argp, argc, argv, 0, NULL, &args);
	struct tf_value *options = run_options_value(&args);
	struct run_job job = {.program = argv[0], .options = options};
	int code = args.watch ? tf_rerun(run_once, &job, argv[0]) : run_once(&job, -1);
	tf_value_unref(options);
	tf_value_unref(args.transport.options);
	tf_value_unref(args.engine);
	tf_value_unref(args.store);
	tf_value_unref(args.file_store);
	return code;
}
