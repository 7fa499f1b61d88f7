#include "cmd/run_args.h"

#include "cmd/observe_args.h"

enum {
	KEY_JSON = 256,
	KEY_PLAIN,
	KEY_TOPICS,
	KEY_TIMEOUT,
	KEY_WATCH,
	KEY_BACKEND,
	KEY_DURABILITY,
};

static const struct argp_option run_options[] = {
	{"config", 'c', "FILE", 0,
		"Lua file that returns a table with engine, topics, url and other options of engines, "
		"backend, "
		"durability, metrics, log_format, log_level; the environment (TFHOST_URL, ...) wins over it, "
		"options of "
		"the command line over both (`tfhost conf run` shows what comes of it)",
		0},
	{"engine", 'e', "NAME", 0,
		"serial (default), parallel, worker-based, or a URI as parallel://?max_workers=3", 0},
	{"topics", KEY_TOPICS, "A,B", 0, "Topics of workers (\"default\")", 0},
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
	{0},
};

/* Options whose text is the setting. */
static const struct {
	int key;
	const char *setting;
} run_settings[] = {
	{'e', "engine"},
	{KEY_TOPICS, "topics"},
	{KEY_TIMEOUT, "transition_timeout"},
	{KEY_BACKEND, "backend"},
	{KEY_DURABILITY, "durability"},
};

static error_t run_parse(int key, char *value, struct argp_state *state)
{
	struct tf_run_args *args = state->input;
	for (size_t i = 0; i < sizeof(run_settings) / sizeof(run_settings[0]); i++) {
		if (run_settings[i].key == key) {
			tf_args_set_text(&args->flags, run_settings[i].setting, value);
			return 0;
		}
	}
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->flow;
		state->child_inputs[1] = &args->transport;
		state->child_inputs[2] = &args->flags;
		return 0;
	case 'c':
		args->file = value;
		return 0;
	case 'o':
		tf_args_set_pair(&args->flags, "--option", value, state);
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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child run_children[] = {{&tf_flow_argp, 0, NULL, 0},
	{&tf_transport_argp, 0, "Transport (worker-based engine):", 1},
	{&tf_observe_argp, 0, "Log and metrics:", 2}, {0}};

const struct argp tf_run_argp = {
	.options = run_options,
	.parser = run_parse,
	.args_doc = "FLOW",
	.doc = "Run a flow: FLOW is a Lua file or a module, with :NAME after it for one of several flows. It "
	       "returns a "
	       "flow or a function that builds one."
	       "\vExample: tfhost run flow.lua --store x=1 --engine worker-based --topics work\n\n"
	       "Exit codes: 0 SUCCESS, 2 the flow cannot be used, 3 REVERTED, 4 FAILURE, 5 no worker was "
	       "ever seen, "
	       "6 SUSPENDED, 64 wrong command line. Ctrl-C cancels: what runs on tfhost workers "
	       "and in processes of a parallel engine is ended, then the flow is reverted. TERM suspends: "
	       "what "
	       "runs is finished. Both end with 128 + signal; a second signal ends at once.",
	.children = run_children,
};

struct tf_value *tf_run_args_value(struct tf_run_args *args)
{
	struct tf_value *all = NULL;
	struct tf_json given;
	bool has_backend = args->flags && tf_json_get(tf_value_json(args->flags), "backend", &given);
	tf_transport_args_put(&args->transport, &args->flags);
	if (args->watch && !has_backend)
		tf_args_set_text(&args->flags, "backend", "none");
	if (args->flow.verbose)
		tf_args_set_text(&args->flags, "log_level", "debug");
	tf_flow_args_put(&args->flow, &all);
	tf_args_set_text(&all, "file", args->file);
	tf_args_set_member(&all, "flags", args->flags ? tf_value_text(args->flags) : "{}");
	tf_args_set_flag(&all, "json", args->json);
	tf_args_set_flag(&all, "plain", args->plain);
	return all;
}

void tf_run_args_free(struct tf_run_args *args)
{
	tf_value_unref(args->transport.options);
	tf_value_unref(args->flags);
	tf_flow_args_free(&args->flow);
}
