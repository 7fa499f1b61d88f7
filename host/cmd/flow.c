/* `tfhost flow ACTION`: options to one JSON object, which lua/tfhost/flow.lua works on. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/observe_args.h"
#include "cmd/transport_args.h"

enum { KEY_BACKEND = 256, KEY_DURABILITY, KEY_JSON, KEY_PLAIN, KEY_ALL, KEY_FORCE, KEY_UNFINISHED, KEY_WAIT };

static const struct argp_option flow_options[] = {
	{"backend", KEY_BACKEND, "FILE", 0, "The logbook (also: TFHOST_BACKEND; default: as for tfhost run)",
		0},
	{"all", KEY_ALL, 0, 0,
		"resume: every flow that has not ended and whose engine is gone; delete: every flow that has "
		"ended",
		0},
	{"force", KEY_FORCE, 0, 0,
		"resume, cancel: though scripts have changed; delete: though it has not ended", 0},
	{"unfinished", KEY_UNFINISHED, 0, 0, "list: only flows that have not ended", 0},
	{"wait", KEY_WAIT, "SECONDS", 0, "cancel: how long to wait for the engine that runs it (30)", 0},
	{"option", 'o', "NAME=VALUE", 0, "resume, cancel: option of the engine in place of the one it had",
		0},
	{"durability", KEY_DURABILITY, "HOW", 0, "resume, cancel: normal (default), full, off", 0},
	{"json", KEY_JSON, 0, 0, "JSON, one object a line", 0},
	{"plain", KEY_PLAIN, 0, 0, "resume, cancel: lines instead of a tree on a terminal", 0},
	{"verbose", 'v', 0, 0, "Log more", 0},
	{0},
};

static const struct {
	const char *name;
	bool all; /* --all in place of a uuid */
} flow_actions[] = {{"list", true}, {"show", false}, {"resume", true}, {"cancel", false}, {"delete", true}};
enum { ACTION_COUNT = sizeof(flow_actions) / sizeof(flow_actions[0]) };

struct flow_args {
	const char *action, *uuid, *backend, *durability;
	struct tf_value *engine;  /* object or NULL, owned */
	struct tf_value *observe; /* likewise */
	bool all, force, unfinished, json, plain;
	double wait;
};

static const char *flow_action(const char *name)
{
	for (size_t i = 0; i < ACTION_COUNT; i++)
		if (!strcmp(flow_actions[i].name, name))
			return flow_actions[i].name;
	return NULL;
}

static bool flow_takes_all(const char *action)
{
	for (size_t i = 0; i < ACTION_COUNT; i++)
		if (flow_actions[i].name == action)
			return flow_actions[i].all;
	return false;
}

static void flow_check(struct flow_args *args, struct argp_state *state)
{
	if (!args->action)
		argp_usage(state);
	else if (!strcmp(args->action, "list") && (args->uuid || args->all))
		argp_error(state, "list takes no uuid and no --all");
	else if (args->all && !flow_takes_all(args->action))
		argp_error(state, "%s takes the uuid of one flow", args->action);
	else if (args->all && args->uuid)
		argp_error(state, "a uuid and --all: which?");
	else if (strcmp(args->action, "list") != 0 && !args->uuid && !args->all)
		argp_error(state, "%s: which flow? (tfhost flow list shows their uuids)", args->action);
}

static void flow_set_option(struct flow_args *args, const char *pair, struct argp_state *state)
{
	const char *text;
	char *name = tf_args_split(pair, &text);
	if (name)
		tf_args_set_member(&args->engine, name, text);
	else
		argp_error(state, "--option: expected NAME=VALUE, got \"%s\"", pair);
	free(name);
}

static void flow_set_wait(struct flow_args *args, const char *text, struct argp_state *state)
{
	char *end;
	args->wait = strtod(text, &end);
	if (*end || end == text || !(args->wait >= 0 && args->wait <= 1e6))
		argp_error(state, "--wait: expected seconds, got \"%s\"", text);
}

static void flow_add_word(struct flow_args *args, char *word, struct argp_state *state)
{
	if (!args->action) {
		args->action = flow_action(word);
		if (!args->action)
			argp_error(
				state, "unknown action \"%s\": list, show, resume, cancel or delete", word);
	} else if (args->uuid) {
		argp_error(state, "one flow at a time: \"%s\" is too many", word);
	} else {
		args->uuid = word;
	}
}

static error_t flow_parse(int key, char *value, struct argp_state *state)
{
	struct flow_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[1] = &args->observe;
		return 0;
	case KEY_BACKEND:
		args->backend = value;
		return 0;
	case KEY_DURABILITY:
		args->durability = value;
		return 0;
	case KEY_ALL:
		args->all = true;
		return 0;
	case KEY_FORCE:
		args->force = true;
		return 0;
	case KEY_UNFINISHED:
		args->unfinished = true;
		return 0;
	case KEY_WAIT:
		flow_set_wait(args, value, state);
		return 0;
	case 'o':
		flow_set_option(args, value, state);
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case KEY_PLAIN:
		args->plain = true;
		return 0;
	case 'v':
		tf_args_set_text(&args->observe, "log_level", "debug");
		return 0;
	case ARGP_KEY_ARG:
		flow_add_word(args, value, state);
		return 0;
	case ARGP_KEY_END:
		flow_check(args, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child flow_children[] = {
	{&tf_lua_dir_argp, 0, NULL, 0}, {&tf_observe_argp, 0, "Log and metrics:", 2}, {0}};

static const struct argp flow_argp = {
	.children = flow_children,
	.options = flow_options,
	.parser = flow_parse,
	.args_doc = "list\nshow UUID\nresume UUID|--all\ncancel UUID\ndelete UUID|--all",
	.doc = "Flows that tfhost run keeps: list them, show one, go on with one whose engine was killed or "
	       "suspended, "
	       "cancel one (what it did is reverted), delete one. The beginning of a uuid will do."
	       "\vExample: tfhost flow resume 3f2a\n\n"
	       "Exit codes: 0 done; resume and cancel: as tfhost run (3 REVERTED, 4 FAILURE, 5 no worker, 6 "
	       "SUSPENDED); "
	       "2 no such flow, it cannot be made again, or its scripts have changed; 7 another engine runs "
	       "it; 64 wrong "
	       "command line. --all: the highest of all.",
};

/* Words that a process resuming one of --all gets besides its uuid. */
static struct tf_value *flow_words(const struct flow_args *args)
{
	const char *const words[] = {args->backend ? "--backend" : NULL, args->backend,
		args->durability ? "--durability" : NULL, args->durability, args->force ? "--force" : NULL,
		args->json ? "--json" : NULL, args->plain ? "--plain" : NULL};
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '[');
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!words[i])
			continue;
		tf_buf_puts(&b, b.len > 1 ? ", " : "");
		tf_json_write_string(&b, words[i], tf_utf8_valid_len(words[i], strlen(words[i])));
	}
	tf_buf_putc(&b, ']');
	return tf_value_take(&b);
}

static struct tf_value *flow_options_value(const struct flow_args *args)
{
	struct tf_value *all = NULL, *words = flow_words(args);
	char wait[32];
	snprintf(wait, sizeof(wait), "%.3f", args->wait);
	tf_args_set_text(&all, "action", args->action);
	tf_args_set_text(&all, "uuid", args->uuid);
	tf_args_set_text(&all, "backend", args->backend);
	tf_args_set_text(&all, "durability", args->durability);
	tf_args_set_flag(&all, "all", args->all);
	tf_args_set_flag(&all, "force", args->force);
	tf_args_set_flag(&all, "unfinished", args->unfinished);
	tf_args_set_flag(&all, "json", args->json);
	tf_args_set_flag(&all, "plain", args->plain);
	tf_args_set_member(&all, "wait", wait);
	tf_args_set_member(&all, "argv", tf_value_text(words));
	tf_args_set_member(&all, "engine_options", args->engine ? tf_value_text(args->engine) : "{}");
	tf_args_set_member(&all, "flags", args->observe ? tf_value_text(args->observe) : "{}");
	tf_value_unref(words);
	return all;
}

int tf_cmd_flow(int argc, char **argv)
{
	struct flow_args args = {.wait = 30};
	tf_command_line(&flow_argp, argc, argv, 0, &args);
	struct tf_value *options = flow_options_value(&args);
	int code = tf_lua_command(argv[0], "tfhost.flow", options, -1);
	tf_value_unref(options);
	tf_value_unref(args.engine);
	tf_value_unref(args.observe);
	return code;
}
