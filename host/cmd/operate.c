/* Commands about running workers whose work is done by lua/tfhost/operate.lua: options to one JSON object, with the control
 * sockets that are meant. A new one is an entry of `operations`, a line in command.h, and a function of that module. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/control_args.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum {
	KEY_JSON = 256,
	KEY_ONCE,
	KEY_INTERVAL,
	KEY_FOLLOW,
	KEY_UUID,
	KEY_WITHIN,
	KEY_GRACE,
	KEY_NO_WAIT,
	KEY_RUN,
	KEY_BACKEND
};
enum { OPERATE_TIMEOUT_MS = 5000, OPERATE_MAX_SECONDS = 100000000, OPERATE_MAX_TIMES = 1000000000 };

struct operation {
	const char *name;
	const struct argp_option *options;
	const char *word;    /* of the usage: a number that must be there; NULL: none may */
	const char *doc;     /* "WHAT\vNOTES" */
	bool one;            /* it changes something: several workers are meant only with --all */
	bool all_always;     /* workers that come later are meant, too */
	unsigned timeout_ms; /* when nothing else is said; 0: OPERATE_TIMEOUT_MS */
};

struct operate_args {
	const struct operation *operation;
	struct tf_control_args control;
	struct tf_value *more; /* object of the options beside those, or NULL; owned */
	bool has_number;
	bool elsewhere; /* it is about no worker */
};

#define OPERATE_JSON \
	{ \
		"json", KEY_JSON, 0, 0, "One JSON object a worker and line", 0 \
	}

static const struct argp_option json_options[] = {OPERATE_JSON, {0}};

static const struct argp_option ps_options[] = {
	{"json", KEY_JSON, 0, 0, "One JSON object a task and line", 0}, {0}};

static const struct argp_option top_options[] = {
	{"json", KEY_JSON, 0, 0, "One JSON object a line each time, with all workers", 0},
	{"once", KEY_ONCE, 0, 0, "Show it once, as --times 1", 0},
	{"times", 'n', "N", 0, "Show it so often, then end (without a terminal: for ever)", 0},
	{"interval", KEY_INTERVAL, "SECONDS", 0, "Look again so often (1)", 0},
	{0},
};

static const struct argp_option events_options[] = {
	{"follow", KEY_FOLLOW, 0, 0,
		"Go on until interrupted, or until the workers have ended (this is the default)", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object an event and line", 0},
	{"uuid", KEY_UUID, "UUID", 0, "Only of the atom or engine with this uuid, or with one that begins so",
		0},
	{"run", KEY_RUN, "UUID", 0,
		"Instead of workers: the atoms of this flow (the beginning of the uuid, or last), as its "
		"logbook "
		"tells, whatever engine runs it; ends with the run",
		0},
	{"backend", KEY_BACKEND, "FILE", 0, "The logbook of --run (default: as for tfhost run)", 0},
	{"times", 'n', "N", 0, "End after so many events", 0},
	{0},
};

static const struct argp_option drain_options[] = {
	OPERATE_JSON,
	{"within", KEY_WITHIN, "SECONDS", 0,
		"What still runs so long after is ended and given back to other workers (the worker's "
		"--drain-timeout)",
		0},
	{"no-wait", KEY_NO_WAIT, 0, 0, "Only have it begin", 0},
	{0},
};

static const struct argp_option shutdown_options[] = {
	OPERATE_JSON,
	{"grace", KEY_GRACE, "SECONDS", 0, "What runs may go on so long (0)", 0},
	{"no-wait", KEY_NO_WAIT, 0, 0, "Only have it begin", 0},
	{0},
};

#define OPERATE_EXIT \
	"Exit codes: 0 all workers that are meant have answered; 1 there is none, or one did not answer in " \
	"time or " \
	"refused; 64 wrong command line."

static const struct operation operations[] = {
	{.name = "ps",
		.options = ps_options,
		.doc = "List what the workers of this user on this machine run: each task with its state, "
		       "how long it waited and "
		       "ran, the processor time and memory of its process. Answered at once, whatever the "
		       "tasks do."
		       "\vExample: tfhost ps --topic work\n\n" OPERATE_EXIT},
	{.name = "status",
		.options = json_options,
		.doc = "Show what the workers of this user on this machine serve: slots, what runs and waits "
		       "in them, queues, the "
		       "ledger of outcomes, counters, generations of scripts, the last load error."
		       "\vExample: tfhost status --json | jq .counters\n\n" OPERATE_EXIT},
	{.name = "top",
		.options = top_options,
		.all_always = true,
		.doc = "Watch workers: slots, tasks, rates, processor time and memory, looked at again each "
		       "second. On a terminal "
		       "the picture is redrawn: q ends it. Workers that come and go are followed."
		       "\vExample: tfhost top --topic work --interval 2\n\n"
		       "Exit codes: 0 ended by q or after --times; 1 there is no worker that answers; 128 + "
		       "signal; 64 wrong "
		       "command line."},
	{.name = "events",
		.options = events_options,
		.doc = "Follow what happens to workers and their requests, from now on: taken, started, "
		       "notified, succeeded, "
		       "failed, given-back, rejected, connected, disconnected, generation, slots, draining. "
		       "Costs the worker "
		       "nothing while nobody follows."
		       "\vExample: tfhost events --follow --json | jq -r .task\n\n"
		       "Exit codes: 0 the workers or the run have ended, or -n events have come; 1 there is "
		       "no worker, or "
		       "one was lost; 2 no such flow; 128 + signal; 64 wrong command line."},
	{.name = "slots",
		.options = json_options,
		.word = "+N|-N|N",
		.one = true,
		.doc = "Have a worker serve with N slots, or with N more or fewer, at once. What runs in "
		       "slots that are too many is "
		       "finished. Not kept: a new process has what its configuration says."
		       "\vExample: tfhost slots +2 --topic work\n\n" OPERATE_EXIT},
	{.name = "drain",
		.options = drain_options,
		.one = true,
		.timeout_ms = 3600000,
		.doc = "Have a worker take no more requests, finish what it runs, and end, as TERM does; "
		       "what it has not begun is "
		       "given back. Waits until that is done, --timeout (an hour) at most."
		       "\vExample: tfhost drain --pid 4711 --within 30\n\n" OPERATE_EXIT},
	{.name = "shutdown",
		.options = shutdown_options,
		.one = true,
		.timeout_ms = 60000,
		.doc = "Have a worker end now: what it runs is ended and given back, so that another worker "
		       "runs it again."
		       "\vExample: tfhost shutdown --all --grace 5\n\n" OPERATE_EXIT},
};

static void operate_number(struct operate_args *args, const char *name, const char *text, double least,
	double most, struct argp_state *state)
{
	char *end, exact[32];
	double n = strtod(text, &end);
	if (*end || end == text || !(n >= least && n <= most))
		argp_error(state, "--%s: expected a number from %g to %.0f, got \"%s\"", name, least, most,
			text);
	snprintf(exact, sizeof(exact), "%.17g", n);
	tf_args_set_member(&args->more, name, exact);
}

/* "4", "+2", or "-2" as operate_hide_minus has left it: "+-2". */
static void operate_set_word(struct operate_args *args, const char *word, struct argp_state *state)
{
	char *end, text[32];
	const char *what = args->operation->word, *number = *word == '+' ? word + 1 : word;
	long n = strtol(number, &end, 10);
	if (args->has_number)
		argp_error(state, "one %s is enough: \"%s\" is too many", what, number);
	if (*end || end == number || n < -OPERATE_MAX_TIMES || n > OPERATE_MAX_TIMES)
		argp_error(state, "expected %s, got \"%s\"", what, number);
	args->has_number = true;
	snprintf(text, sizeof(text), "%ld", n);
	tf_args_set_member(&args->more, *word == '+' ? "add" : "slots", text);
}

static error_t operate_parse(int key, char *value, struct argp_state *state)
{
	struct operate_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->control;
		return 0;
	case KEY_JSON:
		tf_args_set_flag(&args->more, "json", true);
		return 0;
	case KEY_ONCE:
		tf_args_set_member(&args->more, "times", "1");
		return 0;
	case 'n':
		operate_number(args, "times", value, 1, OPERATE_MAX_TIMES, state);
		return 0;
	case KEY_INTERVAL:
		operate_number(args, "interval", value, 0.1, OPERATE_MAX_SECONDS, state);
		return 0;
	case KEY_FOLLOW:
		return 0;
	case KEY_UUID:
		tf_args_set_text(&args->more, "uuid", value);
		return 0;
	case KEY_WITHIN:
		operate_number(args, "within", value, 0, OPERATE_MAX_SECONDS, state);
		return 0;
	case KEY_GRACE:
		operate_number(args, "grace", value, 0, OPERATE_MAX_SECONDS, state);
		return 0;
	case KEY_RUN:
		tf_args_set_text(&args->more, "run", value);
		args->elsewhere = true;
		return 0;
	case KEY_BACKEND:
		tf_args_set_text(&args->more, "backend", value);
		return 0;
	case KEY_NO_WAIT:
		tf_args_set_flag(&args->more, "no_wait", true);
		return 0;
	case ARGP_KEY_ARG:
		if (!args->operation->word)
			return ARGP_ERR_UNKNOWN;
		operate_set_word(args, value, state);
		return 0;
	case ARGP_KEY_END:
		if (args->operation->word && !args->has_number)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child operate_children[] = {{&tf_control_argp, 0, "Which worker:", 1}, {0}};

/* A negative number is no option. The words that are made live as long as the process. */
static void operate_hide_minus(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1] &&
			strspn(argv[i] + 1, "0123456789") == strlen(argv[i] + 1))
			argv[i] = tf_asprintf("+%s", argv[i]);
}

static void operate_put_paths(struct tf_value **options, char *const *paths)
{
	struct tf_buf list = TF_BUF_INIT;
	tf_buf_putc(&list, '[');
	for (; *paths; paths++) {
		tf_buf_puts(&list, list.len > 1 ? ", " : "");
		tf_json_write_string(&list, *paths, tf_utf8_valid_len(*paths, strlen(*paths)));
	}
	tf_buf_putc(&list, ']');
	tf_args_set_member(options, "paths", list.data);
	tf_buf_free(&list);
}

static int operate_run(struct operate_args *args, const char *program)
{
	struct tf_err err;
	char **paths = NULL, timeout[32];
	const struct tf_control_args *c = &args->control;
	if (!args->elsewhere && tf_control_args_find(c, args->operation->one, &paths, &err) < 0) {
		fprintf(stderr, "%s: %s\n", program, err.message);
		return TF_EXIT_ERROR;
	}
	snprintf(timeout, sizeof(timeout), "%.3f", c->timeout_ms / 1000.0);
	tf_args_set_text(&args->more, "operation", args->operation->name);
	tf_args_set_text(&args->more, "command", program);
	tf_args_set_member(&args->more, "timeout", timeout);
	tf_args_set_flag(
		&args->more, "finds", args->operation->all_always && !c->path && !c->pid && !c->topic);
	if (paths)
		operate_put_paths(&args->more, paths);
	tf_control_args_free(paths);
	return tf_lua_command(program, "tfhost.operate", args->more, -1);
}

static int operate(const char *name, int argc, char **argv)
{
	const struct operation *o = operations;
	while (strcmp(o->name, name) != 0)
		o++;
	struct operate_args args = {
		.operation = o, .control.timeout_ms = o->timeout_ms ? o->timeout_ms : OPERATE_TIMEOUT_MS};
	const struct argp argp = {.options = o->options,
		.parser = operate_parse,
		.args_doc = o->word,
		.doc = o->doc,
		.children = operate_children};
	if (o->word)
		operate_hide_minus(argc, argv);
	tf_command_line(&argp, argc, argv, 0, &args);
	int code = operate_run(&args, argv[0]);
	tf_value_unref(args.more);
	return code;
}

#define X(name) \
	int tf_cmd_##name(int argc, char **argv) \
	{ \
		return operate(#name, argc, argv); \
	}
X(ps)
X(status)
X(top)
X(events)
X(slots)
X(drain)
X(shutdown)
#undef X
