/* A worker as a process runs it: a server on a loop of its own, until a signal ends it. What `tfhost worker` and
 * the Worker of a script share.
 *
 * TERM or INT: no more work is taken, what runs is finished, or after `drain_timeout` given back, then the run ends. A
 * second one: give up at once; running slots are killed and their requests go back to the queue. HUP: the scripts are loaded again. */
#ifndef TF_WBE_WORKER_H
#define TF_WBE_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/value.h"
#include "protocol/limits.h"
#include "transport/transport.h"
#include "wbe/server.h"

/* All owned by the config; zeroes are the defaults. */
#define TF_WORKER_NO_CONTROL "none"
#define TF_WORKER_NO_JOURNAL "none"
#define TF_WORKER_NO_METRICS "none"
struct tf_worker_config {
	char *url, *transport;
	char *exchange;           /* NULL: "default" */
	char *topic;              /* NULL: "default" */
	struct tf_value *options; /* transport_options, an object */
	struct tf_retry_options retry;
	char **tasks; /* script references; at least one */
	size_t task_count;
	char **dirs; /* searched for modules besides the working directory */
	size_t dir_count;
	char *path;              /* package.path of the script that runs the worker; NULL: the usual one */
	unsigned slots;          /* 0: number of cores */
	bool no_watch;           /* changed scripts are loaded on demand alone: HUP, `tfhost reload` */
	char *control;           /* path of the control socket; NULL: the usual one; "none" */
	struct tf_limits limits; /* of tasks that have none of their own */
	char *journal; /* directory for server.h's journal, of all topics; NULL: the usual one; "none" */
	double journal_after; /* seconds; 0: the usual time */
	double drain_timeout; /* seconds that TERM gives to what runs; 0: no limit */
	char *metrics;        /* "[HOST:]PORT" of the page for Prometheus; NULL or "none": there is none */
	char *log_format, *log_level; /* names, for whoever sets up the log; NULL: as it is */
	double load_timeout;          /* seconds that scripts may take to load; 0: TF_GENERATIONS_LOAD_MS */
	unsigned max_tasks;           /* of a slot, then it is replaced; 0: any number */
	uint64_t max_growth;          /* bytes that a slot may grow by, then it is replaced; 0: any number */
	struct tf_concurrency *concurrency; /* of classes */
	size_t concurrency_count;
};
void tf_worker_config_free(struct tf_worker_config *c); /* frees members, zeroes */
void tf_worker_add_task(struct tf_worker_config *c, const char *reference);
void tf_worker_clear_tasks(struct tf_worker_config *c);
/* `cls` as on the wire, or as a reference ("module:Class"); what was said of it before counts no more. */
void tf_worker_add_concurrency(struct tf_worker_config *c, const char *cls, unsigned limit);
void tf_worker_add_dir(struct tf_worker_config *c, const char *dir);

/* What loads the scripts of this configuration (pool.h, loader_argv), for a worker of that uuid. Freed by tf_worker_free_argv. */
char **tf_worker_loader_argv(const struct tf_worker_config *c, const char *uuid);
void tf_worker_free_argv(char **argv);

/* Serve. *signo: the signal that ended it at once, else 0. TF_EINVAL for a config that cannot work; the error of the
 * scripts that could not be loaded; what broke the server. Else the number
 * of running tasks that were ended and given back. */
int tf_worker_run(const struct tf_worker_config *c, int *signo, struct tf_err *err);

#endif
