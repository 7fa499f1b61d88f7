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
	KEY_ALL,
	KEY_TIMEOUT,
	CONTROL_TIMEOUT_MS = 60000,
	CONTROL_MAX_SECONDS = 86400
};

static const struct argp_option control_options[] = {
	{"pid", KEY_PID, "PID", 0, "The worker with this process id", 1},
	{"control", KEY_CONTROL, "PATH", 0, "The worker with this control socket", 1},
	{"all", KEY_ALL, 0, 0, "Every worker of this user", 1},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0, "Wait so long for the answer (60; health: 5)", 1},
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
		if (args->pid == 0 || control_has_pid(*p, args->pid))
			(*paths)[n++] = *p;
		else
			free(*p);
	}
	(*paths)[n] = NULL;
	if (n == 0 && args->pid)
		rc = tf_err_set(err, TF_ENOTFOUND, "no worker of this user has pid %ld and a control socket",
			args->pid);
	else if (n == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "no worker of this user runs here");
	else if (n > 1 && one && !args->all)
		rc = tf_err_set(err, TF_EINVAL,
			"%zu workers run here: name one by --pid or --control (`tfhost status` lists them), "
			"or use --all",
			n);
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
