/* `tfhost graph FLOW`: options to one JSON object, which lua/tfhost/graph.lua works on. */
#include <argp.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/flow_args.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum { KEY_TEXT = 256, KEY_SVG, KEY_DOT, KEY_MERMAID, KEY_JSON, KEY_RUN, KEY_BACKEND, KEY_ALL };

static const struct argp_option graph_options[] = {
	{"text", KEY_TEXT, 0, 0, "A tree, with what each atom takes and gives (default)", 0},
	{"svg", KEY_SVG, 0, 0, "A picture; needs no other program", 0},
	{"dot", KEY_DOT, 0, 0, "For graphviz: tfhost graph FLOW --dot | dot -Tpng", 0},
	{"mermaid", KEY_MERMAID, 0, 0, "For Markdown that draws mermaid", 0},
	{"json", KEY_JSON, 0, 0, "Atoms, flows and edges as one JSON object", 0},
	{"output", 'o', "FILE", 0, "Write there instead of standard output", 0},
	{"run", KEY_RUN, "UUID", 0,
		"Colour by the states of a run that tfhost run keeps (the beginning of the uuid will do)", 0},
	{"backend", KEY_BACKEND, "FILE", 0, "The logbook of --run (default: as for tfhost run)", 0},
	{"all", KEY_ALL, 0, 0, "Draw each of many children that are alike, instead of the first and how many",
		0},
	{0},
};

struct graph_args {
	struct tf_flow_args flow;
	const char *form, *output, *run, *backend;
	bool all;
};

static error_t graph_parse(int key, char *value, struct argp_state *state)
{
	static const char *const forms[] = {"text", "svg", "dot", "mermaid", "json"};
	struct graph_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->flow;
		return 0;
	case KEY_TEXT:
	case KEY_SVG:
	case KEY_DOT:
	case KEY_MERMAID:
	case KEY_JSON:
		if (args->form && args->form != forms[key - KEY_TEXT])
			argp_error(state, "--%s and --%s: which?", args->form, forms[key - KEY_TEXT]);
		args->form = forms[key - KEY_TEXT];
		return 0;
	case 'o':
		args->output = value;
		return 0;
	case KEY_RUN:
		args->run = value;
		return 0;
	case KEY_BACKEND:
		args->backend = value;
		return 0;
	case KEY_ALL:
		args->all = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child graph_children[] = {{&tf_flow_argp, 0, NULL, 0}, {0}};

static const struct argp graph_argp = {
	.options = graph_options,
	.parser = graph_parse,
	.args_doc = "FLOW",
	.doc = "Draw a flow: atoms, the values that they hand each other, links made by hand and their "
	       "deciders, retry "
	       "controllers, nesting. FLOW as for tfhost run."
	       "\vExample: tfhost graph flow.lua --svg -o flow.svg\n\n"
	       "Exit codes: 0 drawn, 1 it could not be written, 2 the flow cannot be used or there is no "
	       "such run, 64 "
	       "wrong command line.",
	.children = graph_children,
};

int tf_cmd_graph(int argc, char **argv)
{
	struct graph_args args = {0};
	struct tf_value *options = NULL;
	tf_command_line(&graph_argp, argc, argv, 0, &args);
	tf_flow_args_put(&args.flow, &options);
	tf_args_set_text(&options, "form", args.form ? args.form : "text");
	tf_args_set_text(&options, "output", args.output);
	tf_args_set_text(&options, "run", args.run);
	tf_args_set_text(&options, "backend", args.backend);
	tf_args_set_flag(&options, "all", args.all);
	int code = tf_lua_command(argv[0], "tfhost.graph", options, -1);
	tf_value_unref(options);
	tf_flow_args_free(&args.flow);
	return code;
}
