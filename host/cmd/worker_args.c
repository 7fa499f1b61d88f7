#include "cmd/worker_args.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cmd/lua_command.h"
#include "cmd/observe_args.h"

enum {
	KEY_SLOTS = 256,
	KEY_NO_WATCH,
	KEY_CONTROL,
	KEY_LOAD_TIMEOUT,
	KEY_DRAIN_TIMEOUT,
	KEY_JOURNAL,
	KEY_JOURNAL_AFTER,
	KEY_TIME_LIMIT,
	KEY_TIME_WARNING,
	KEY_MEMORY_LIMIT,
	KEY_ARGUMENT_LIMIT,
	KEY_RESULT_LIMIT,
	KEY_CONCURRENCY,
	KEY_MAX_TASKS,
	KEY_MAX_GROWTH,
};

static const struct argp_option worker_options[] = {
	{"config", 'c', "FILE", 0,
		"Lua file that returns a table with url, exchange, topic, tasks, transport, "
		"transport_options, "
		"retry_options, slots, watch, control, load_timeout, drain_timeout, journal, "
		"journal_after, time_limit, "
		"time_warning, "
		"memory_limit, argument_limit, result_limit, concurrency, max_tasks_per_slot, "
		"max_memory_growth, metrics, log_format, log_level; the environment (TFHOST_SLOTS, ...) wins "
		"over "
		"it, "
		"options of the command line over both (`tfhost conf` shows what comes of it)",
		0},
	{"topic", 't', "NAME", 0, "Topic to serve (\"default\")", 0},
	{"slots", KEY_SLOTS, "N", 0, "Tasks at once (number of cores)", 0},
	{"no-watch", KEY_NO_WATCH, 0, 0,
		"Do not load scripts again when they change; HUP and `tfhost reload` do", 0},
	{"control", KEY_CONTROL, "PATH", 0,
		"Control socket, for status, reload, rollback; \"none\": without (a name with the pid, in "
		"$TFHOST_CONTROL_DIR, $XDG_RUNTIME_DIR/tfhost, or /tmp/tfhost-UID)",
		0},
	{"load-timeout", KEY_LOAD_TIMEOUT, "SECONDS", 0, "Scripts may take so long to load (30)", 0},
	{"drain-timeout", KEY_DRAIN_TIMEOUT, "SECONDS", 0,
		"What still runs so long after TERM is ended and given back to other workers (no limit)", 0},
	{"journal", KEY_JOURNAL, "DIR", 0,
		"Keep there what Python engines were promised, so that a worker that is started again after "
		"it "
		"was killed goes on with it; \"none\": do not ($XDG_STATE_HOME/tfhost/journal, or the same "
		"in "
		"~/.local/state)",
		0},
	{"journal-after", KEY_JOURNAL_AFTER, "SECONDS", 0,
		"A task that runs so long for a Python engine is acknowledged to the broker, and kept there "
		"alone (180)",
		0},
	{"time-limit", KEY_TIME_LIMIT, "SECONDS", 0,
		"A task that has no limit of its own is killed after so long (none)", 0},
	{"time-warning", KEY_TIME_WARNING, "SECONDS", 0, "It and its engine are told after so long (never)",
		0},
	{"memory-limit", KEY_MEMORY_LIMIT, "BYTES", 0,
		"It is killed when its process has so much memory, as 512M or 2G (no limit)", 0},
	{"argument-limit", KEY_ARGUMENT_LIMIT, "BYTES", 0,
		"It is not run when its arguments are larger, as 64K or 1M of JSON (no limit)", 0},
	{"result-limit", KEY_RESULT_LIMIT, "BYTES", 0,
		"It fails when its result is larger, as 64K or 1M of JSON (no limit)", 0},
	{"concurrency", KEY_CONCURRENCY, "CLASS=N", 0,
		"Run at most N tasks of CLASS (module.Class) at a time here; may be given again (what the "
		"class says)",
		0},
	{"max-tasks-per-slot", KEY_MAX_TASKS, "N", 0,
		"Replace the process of a slot after at most N tasks (never)", 0},
	{"max-memory-growth", KEY_MAX_GROWTH, "BYTES", 0,
		"Replace it once it has grown by so much memory, as 64M or 1G (never)", 0},
	{"verbose", 'v', 0, 0, "Log more: --log-level debug", 0},
	{0},
};

/* Options whose text is the setting: what it may be, lua/tfhost/settings.lua knows. */
static const struct {
	int key;
	const char *setting;
} worker_settings[] = {
	{'t', "topic"},
	{KEY_SLOTS, "slots"},
	{KEY_CONTROL, "control"},
	{KEY_LOAD_TIMEOUT, "load_timeout"},
	{KEY_DRAIN_TIMEOUT, "drain_timeout"},
	{KEY_JOURNAL, "journal"},
	{KEY_JOURNAL_AFTER, "journal_after"},
	{KEY_TIME_LIMIT, "time_limit"},
	{KEY_TIME_WARNING, "time_warning"},
	{KEY_MEMORY_LIMIT, "memory_limit"},
	{KEY_ARGUMENT_LIMIT, "argument_limit"},
	{KEY_RESULT_LIMIT, "result_limit"},
	{KEY_MAX_TASKS, "max_tasks_per_slot"},
	{KEY_MAX_GROWTH, "max_memory_growth"},
};

/* One more at the end of the list of tasks. */
static void worker_add_task(struct tf_value **flags, const char *reference)
{
	struct tf_buf list = TF_BUF_INIT;
	struct tf_json tasks;
	if (*flags && tf_json_get(tf_value_json(*flags), "tasks", &tasks)) {
		tf_buf_append(&list, tasks.text, tasks.len - 1);
		tf_buf_puts(&list, ", ");
	} else {
		tf_buf_putc(&list, '[');
	}
	tf_json_write_string(&list, reference, tf_utf8_valid_len(reference, strlen(reference)));
	tf_buf_putc(&list, ']');
	tf_args_set_member(flags, "tasks", list.data);
	tf_buf_free(&list);
}

/* All pairs as one text; what is no pair, lua/tfhost/settings.lua finds. */
static void worker_add_pair(char **pairs, const char *pair)
{
	char *all = *pairs ? tf_asprintf("%s,%s", *pairs, pair) : tf_strdup(pair);
	free(*pairs);
	*pairs = all;
}

static error_t worker_parse(int key, char *value, struct argp_state *state)
{
	struct tf_worker_args *args = state->input;
	for (size_t i = 0; i < sizeof(worker_settings) / sizeof(worker_settings[0]); i++) {
		if (worker_settings[i].key == key) {
			tf_args_set_text(&args->flags, worker_settings[i].setting, value);
			return 0;
		}
	}
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->transport;
		state->child_inputs[1] = &args->flags;
		return 0;
	case 'c':
		args->file = value;
		return 0;
	case KEY_CONCURRENCY:
		worker_add_pair(&args->concurrency, value);
		return 0;
	case KEY_NO_WATCH:
		tf_args_set_flag(&args->flags, "watch", false);
		return 0;
	case 'v':
		tf_args_set_text(&args->flags, "log_level", "debug");
		return 0;
	case ARGP_KEY_ARG:
		worker_add_task(&args->flags, value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child worker_children[] = {{&tf_transport_argp, 0, "Transport:", 1},
	{&tf_observe_argp, 0, "Log and metrics:", 2}, {&tf_lua_dir_argp, 0, NULL, 0}, {0}};

const struct argp tf_worker_argp = {
	.options = worker_options,
	.parser = worker_parse,
	.args_doc = "SCRIPT|MODULE|MODULE:TASK...\n--config FILE",
	.doc = "Serve tasks: every task class that SCRIPT (tasks.lua) or MODULE returns, or the one named."
	       "\vExample: tfhost worker tasks.lua --topic work --slots 4 --url "
	       "amqp://guest:guest@localhost//\n\n"
	       "TERM or INT finishes what runs and ends; a second one gives up at once. HUP loads the "
	       "scripts again.\n\n"
	       "Exit codes: 0 ended by TERM, INT or tfhost drain; 1 the scripts or the transport cannot be "
	       "used; 3 some of "
	       "what ran was given back after --drain-timeout; 64 wrong command line; 128 + signal given up.",
	.children = worker_children,
};

struct tf_value *tf_worker_args_value(struct tf_worker_args *args)
{
	struct tf_value *all = NULL;
	tf_transport_args_put(&args->transport, &args->flags);
	tf_args_set_text(&args->flags, "concurrency", args->concurrency);
	tf_args_set_text(&all, "file", args->file);
	tf_args_set_member(&all, "flags", args->flags ? tf_value_text(args->flags) : "{}");
	return all;
}

void tf_worker_args_free(struct tf_worker_args *args)
{
	tf_value_unref(args->transport.options);
	tf_value_unref(args->flags);
	free(args->concurrency);
}
