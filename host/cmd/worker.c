/* `tfhost worker`: serve tasks. This process runs no code of the user: a configuration file is read in a Lua state that
 * is closed before anything is served. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/excerpt.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/worker_args.h"
#include "script/worker_config.h"
#include "wbe/worker.h"

/* What is wrong, and the lines of the script that it is about. */
static void worker_complain(
	const char *program, const struct tf_worker_config *config, const struct tf_err *err)
{
	struct tf_buf files = TF_BUF_INIT, out = TF_BUF_INIT;
	char real[PATH_MAX];
	for (size_t i = 0; i < config->task_count; i++)
		if (realpath(config->tasks[i], real))
			tf_buf_append(&files, real, strlen(real) + 1);
	if (tf_log_get_format() != TF_LOG_TEXT) { /* whoever reads it expects lines of that kind */
		tf_error("worker", "%s", err->message);
		return;
	}
	fprintf(stderr, "%s: %s\n", program, err->message);
	if (tf_excerpt(err->message, &files, &out))
		fwrite(out.data, 1, out.len, stderr);
	tf_buf_free(&files);
	tf_buf_free(&out);
}

int tf_cmd_worker(int argc, char **argv)
{
	struct tf_worker_args args = {0};
	struct tf_worker_config config = {0};
	struct tf_err err;
	int signo = 0;
	bool usage = false;
	tf_command_line(&tf_worker_argp, argc, argv, 0, &args);
	struct tf_value *given = tf_worker_args_value(&args);
	int rc = tf_worker_config_resolve(given, args.file, &config, &usage, &err);
	tf_value_unref(given);
	tf_worker_args_free(&args);
	if (rc == 0) {
		tf_log_configure(config.log_format, config.log_level);
		rc = tf_worker_run(&config, &signo, &err);
	}
	if (rc < 0)
		worker_complain(argv[0], &config, &err);
	tf_worker_config_free(&config);
	if (rc < 0)
		return usage ? TF_EXIT_USAGE : TF_EXIT_ERROR;
	return signo ? 128 + signo : rc > 0 ? TF_EXIT_GIVEN_BACK : TF_EXIT_OK;
}
