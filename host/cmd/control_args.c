#include "cmd/control_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"
#include "control/client.h"

enum {
	KEY_PID = 500,
	KEY_CONTROL,
	KEY_TOPIC,
	KEY_ALL,
	KEY_TIMEOUT,
	CONTROL_TIMEOUT_MS = 60000,
	CONTROL_MAX_SECONDS = 86400,
	CONTROL_LOOK_MS = 2000, /* to hear what topic a worker serves */
};

static const struct argp_option control_options[] = {
	{"pid", KEY_PID, "PID", 0, "The worker with this process id", 1},
	{"control", KEY_CONTROL, "PATH", 0, "The worker with this control socket", 1},
	{"topic", KEY_TOPIC, "NAME", 0, "Those that serve this topic", 1},
	{"all", KEY_ALL, 0, 0, "Every worker of this user", 1},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0,
		"Wait so long for the answer (5; reload, rollback, shutdown: 60; drain: 3600)", 1},
	{0},
};

static error_t control_parse(int key, char *value, struct argp_state *state)
{
	struct tf_control_args *args = state->input;
	char *end;
	double seconds;
	switch (key) {
	case ARGP_KEY_INIT:
		if (!args->timeout_ms)
			args->timeout_ms = CONTROL_TIMEOUT_MS;
		return 0;
	case KEY_PID:
		args->pid = strtol(value, &end, 10);
		if (*end || end == value || args->pid < 1)
			argp_error(state, "--pid: expected a process id, got \"%s\"", value);
		return 0;
	case KEY_CONTROL:
		args->path = value;
		return 0;
	case KEY_TOPIC:
		args->topic = value;
		return 0;
	case KEY_ALL:
		args->all = true;
		return 0;
	case KEY_TIMEOUT:
		seconds = strtod(value, &end);
		if (*end || end == value || !(seconds > 0 && seconds <= CONTROL_MAX_SECONDS))
			argp_error(state, "--timeout: expected seconds up to %d, got \"%s\"",
				CONTROL_MAX_SECONDS, value);
		args->timeout_ms = (unsigned)(1000 * seconds);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp tf_control_argp = {.options = control_options, .parser = control_parse};

void tf_control_args_free(char **paths)
{
	for (char **p = paths; p && *p; p++)
		free(*p);
	free(paths);
}

static bool control_has_pid(const char *path, long pid)
{
	const char *dash = strrchr(path, '-');
	return dash && strtol(dash + 1, NULL, 10) == pid;
}

/* The topic that a worker serves; NULL if it does not say. Caller frees. */
static char *control_topic_of(const char *path)
{
	struct tf_value *answer;
	struct tf_json v;
	char *topic = NULL;
	if (tf_control_ask(path, "{\"command\": \"health\"}", CONTROL_LOOK_MS, &answer, NULL) < 0)
		return NULL;
	if (tf_json_get(tf_value_json(answer), "topic", &v))
		topic = tf_json_strdup(v, NULL);
	tf_value_unref(answer);
	return topic;
}

static bool control_serves(const char *path, const char *topic)
{
	char *served = control_topic_of(path);
	bool yes = served && !strcmp(served, topic);
	free(served);
	return yes;
}

/* Which there are, for who has to choose. */
static int control_list(char *const *paths, struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT;
	size_t n = 0;
	for (; paths[n]; n++) {
		char *topic = control_topic_of(paths[n]);
		const char *dash = strrchr(paths[n], '-');
		tf_buf_printf(&text, "\n  --pid %ld  topic %s  %s", dash ? strtol(dash + 1, NULL, 10) : 0,
			topic ? topic : "unknown: it does not answer", paths[n]);
		free(topic);
	}
	int rc = tf_err_set(err, TF_EINVAL,
		"%zu workers run here: choose by --pid, --topic or --control, or take --all%s", n, text.data);
	tf_buf_free(&text);
	return rc;
}

/* No worker is there, or none of those that are meant. */
static int control_none(const struct tf_control_args *args, struct tf_err *err)
{
	if (args->pid)
		return tf_err_set(err, TF_ENOTFOUND,
			"no worker of this user has pid %ld and a control socket", args->pid);
	if (args->topic)
		return tf_err_set(
			err, TF_ENOTFOUND, "no worker of this user serves topic \"%s\" here", args->topic);
	return tf_err_set(err, TF_ENOTFOUND,
		"no worker of this user runs here (tfhost worker starts one; of another user: --control "
		"PATH)");
}

int tf_control_args_find(const struct tf_control_args *args, bool one, char ***paths, struct tf_err *err)
{
	size_t n = 0;
	if (args->path) {
		*paths = tf_calloc(2, sizeof(**paths));
		(*paths)[0] = tf_strdup(args->path);
		return 0;
	}
	int rc = tf_control_find("worker", paths, err);
	if (rc < 0)
		return rc;
	for (char **p = *paths; *p; p++) {
		if ((args->pid == 0 || control_has_pid(*p, args->pid)) &&
			(!args->topic || control_serves(*p, args->topic)))
			(*paths)[n++] = *p;
		else
			free(*p);
	}
	(*paths)[n] = NULL;
	if (n == 0)
		rc = control_none(args, err);
	else if (n > 1 && one && !args->all)
		rc = control_list(*paths, err);
	if (rc < 0)
		tf_control_args_free(*paths);
	return rc;
}

int tf_control_args_run(const struct tf_control_args *args, const char *program, bool one,
	const char *request, void (*show)(void *arg, const struct tf_value *result), void *arg)
{
	struct tf_err err;
	char **paths;
	int code = TF_EXIT_OK;
	if (tf_control_args_find(args, one, &paths, &err) < 0) {
		fprintf(stderr, "%s: %s\n", program, err.message);
		return TF_EXIT_ERROR;
	}
	for (char **p = paths; *p; p++) {
		struct tf_value *result;
		if (tf_control_ask(*p, request, args->timeout_ms, &result, &err) < 0) {
			fflush(stdout);
			fprintf(stderr, "%s: %s\n", program, err.message);
			code = TF_EXIT_ERROR;
			continue;
		}
		show(arg, result);
		tf_value_unref(result);
	}
	tf_control_args_free(paths);
	return code;
}
