/* `tfhost lint`: options to one JSON object, which lua/tfhost/lint.lua works on. */
#include <argp.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/flow_args.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum { KEY_JSON = 256, KEY_WORKER };

static const struct argp_option lint_options[] = {
	{"worker", 'w', "FILE", 0,
		"A worker's configuration or tasks: its classes are known to be served. May be given several "
		"times; "
		"without it, nothing is said about classes",
		0},
	{"json", KEY_JSON, 0, 0, "One JSON object a finding and line", 0},
	{0},
};

struct lint_args {
	struct tf_flow_args flow;
	struct tf_buf references, workers; /* of JSON lists, without brackets */
	bool json;
};

static void lint_add(struct tf_buf *list, const char *text)
{
	tf_buf_puts(list, list->len ? ", " : "");
	tf_json_write_string(list, text, tf_utf8_valid_len(text, strlen(text)));
}

static error_t lint_parse(int key, char *value, struct argp_state *state)
{
	struct lint_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->flow;
		return 0;
	case ARGP_KEY_ARG: /* several, unlike where a flow is run */
		args->flow.reference = value;
		lint_add(&args->references, value);
		return 0;
	case 'w':
		lint_add(&args->workers, value);
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child lint_children[] = {{&tf_flow_argp, 0, NULL, 0}, {0}};

static const struct argp lint_argp = {
	.options = lint_options,
	.parser = lint_parse,
	.args_doc = "FLOW|TASKS...",
	.doc = "Find mistakes without running the flow: inputs that nothing gives, cycles, atoms that are "
	       "never reached, "
	       "values that nobody uses, classes that no known worker serves, globals that were meant to be "
	       "local. "
	       "Names given by --store count as given. Scripts are loaded; one that runs its flow itself is "
	       "looked at "
	       "up to there."
	       "\vExample: tfhost lint flow.lua --worker worker.lua\n\n"
	       "A finding is an error (it cannot work), a warning (it is hardly meant so) or a note.\n\n"
	       "Exit codes: 0 nothing but notes, 1 warnings, 2 errors, 64 wrong command line.",
	.children = lint_children,
};

static void lint_put_list(struct tf_value **options, const char *name, struct tf_buf *list)
{
	struct tf_buf text = TF_BUF_INIT;
	tf_buf_printf(&text, "[%.*s]", (int)list->len, list->len ? list->data : "");
	tf_args_set_member(options, name, text.data);
	tf_buf_free(&text);
	tf_buf_free(list);
}

int tf_cmd_lint(int argc, char **argv)
{
	struct lint_args args = {0};
	struct tf_value *options = NULL;
	tf_command_line(&lint_argp, argc, argv, 0, &args);
	tf_flow_args_put(&args.flow, &options);
	lint_put_list(&options, "references", &args.references);
	lint_put_list(&options, "workers", &args.workers);
	tf_args_set_flag(&options, "json", args.json);
	int code = tf_lua_command(argv[0], "tfhost.lint", options, -1);
	tf_value_unref(options);
	tf_flow_args_free(&args.flow);
	return code;
}
