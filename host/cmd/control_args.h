/* Which running workers a command is about, for the commands that speak to control sockets. */
#ifndef TF_CMD_CONTROL_ARGS_H
#define TF_CMD_CONTROL_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/value.h"

struct tf_control_args {
	const char *path;  /* NULL: found */
	const char *topic; /* NULL: any */
	long pid;          /* 0: any */
	bool all;
	unsigned timeout_ms; /* 0 before the parsing: a minute */
};

/* --pid, --control, --topic, --all, --timeout; input: struct tf_control_args, zeroed by the caller but for the default of the timeout. */
extern const struct argp tf_control_argp;

/* The sockets meant; NULL-terminated, freed by tf_control_args_free. With `one`, several without --all are an error that
 * lists them; none is one always. */
int tf_control_args_find(const struct tf_control_args *args, bool one, char ***paths, struct tf_err *err);
void tf_control_args_free(char **paths);

/* Ask each of them, `show` each answer, say on stderr what went wrong. Returns the exit code. */
int tf_control_args_run(const struct tf_control_args *args, const char *program, bool one,
	const char *request, void (*show)(void *arg, const struct tf_value *result), void *arg);

#endif
