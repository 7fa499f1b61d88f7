/* `tfhost status`: what workers serve, for people, or as JSON lines. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/control_args.h"

enum { KEY_JSON = 256 };

struct status_args {
	struct tf_control_args control;
	bool json;
};

static const struct argp_option status_options[] = {
	{"json", KEY_JSON, 0, 0, "One JSON object a worker and line", 0},
	{0},
};

static error_t status_parse(int key, char *value, struct argp_state *state)
{
	struct status_args *args = state->input;
	(void)value;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->control;
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child status_children[] = {{&tf_control_argp, 0, "Which worker (all):", 1}, {0}};

static const struct argp status_argp = {
	.options = status_options,
	.parser = status_parse,
	.doc = "Show what the workers of this user on this machine serve: generations of scripts, slots, "
	       "counters, the last "
	       "load error.",
	.children = status_children,
};

static int64_t number(struct tf_json object, const char *name)
{
	struct tf_json v;
	int64_t n = 0;
	if (tf_json_get(object, name, &v))
		tf_json_int64(v, &n);
	return n;
}

/* Caller frees. */
static char *text(struct tf_json object, const char *name)
{
	struct tf_json v;
	return tf_json_get(object, name, &v) ? tf_json_strdup(v, NULL) : NULL;
}

static void show_generation(struct tf_json g)
{
	char *state = text(g, "state"), *hash = text(g, "hash");
	printf("  generation %-4" PRId64 " %-9s %s  classes %" PRId64 "  slots %" PRId64 " (%" PRId64
	       " busy)  succeeded %" PRId64 "  failed %" PRId64 "\n",
		number(g, "generation"), state, hash, number(g, "classes"), number(g, "slots"),
		number(g, "busy"), number(g, "succeeded"), number(g, "failed"));
	free(state);
	free(hash);
}

static void show_scripts(struct tf_json scripts)
{
	struct tf_json list, error, canary, share, g;
	double part = 0;
	if (tf_json_get(scripts, "generations", &list)) {
		struct tf_json_iter it = tf_json_iter(list);
		while (tf_json_next(&it, NULL, &g))
			show_generation(g);
	}
	if (tf_json_get(scripts, "canary", &canary) && tf_json_get(canary, "share", &share) &&
		tf_json_double(share, &part))
		printf("  canary: %g %% of the requests; %" PRId64 " of %" PRId64 " ended, %" PRId64
		       " failed\n",
			100 * part, number(canary, "ended"), number(canary, "wanted"),
			number(canary, "failed"));
	if (tf_json_get(scripts, "load_error", &error) && tf_json_type(error) == TF_JSON_OBJECT) {
		char *message = text(error, "message"), when[32] = "?";
		time_t at = (time_t)number(error, "at");
		struct tm tm;
		if (localtime_r(&at, &tm))
			strftime(when, sizeof(when), "%F %T", &tm);
		printf("  last load error (%s): %s\n", when, message);
		free(message);
	}
}

static void status_show(void *arg, const struct tf_value *result)
{
	const struct status_args *args = arg;
	struct tf_json w = tf_value_json(result), part;
	if (args->json) {
		printf("%s\n", tf_value_text(result));
		return;
	}
	char *topic = text(w, "topic"), *exchange = text(w, "exchange"), *url = text(w, "url");
	printf("worker %" PRId64 ": topic \"%s\" of exchange \"%s\" at %s, up %" PRId64 " s, %" PRId64
	       " slots, %" PRId64 " busy\n",
		number(w, "pid"), topic, exchange, url, number(w, "seconds"), number(w, "slots"),
		number(w, "busy"));
	if (tf_json_get(w, "counters", &part))
		printf("  requests %" PRId64 "  succeeded %" PRId64 "  failed %" PRId64 "  malformed %" PRId64
		       "  joined %" PRId64 "  from ledger %" PRId64 "\n",
			number(part, "requests"), number(part, "succeeded"), number(part, "failed"),
			number(part, "malformed"), number(part, "joined"), number(part, "from_ledger"));
	if (tf_json_get(w, "scripts", &part))
		show_scripts(part);
	free(topic);
	free(exchange);
	free(url);
}

int tf_cmd_status(int argc, char **argv)
{
	struct status_args args = {0};
	tf_command_line(&status_argp, argc, argv, 0, &args);
	return tf_control_args_run(
		&args.control, argv[0], false, "{\"command\": \"status\"}", status_show, &args);
}
