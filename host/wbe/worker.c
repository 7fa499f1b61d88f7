#include "wbe/worker.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "loop/loop.h"
#include "transport/url.h"
#include "control/page.h"
#include "wbe/commands.h"
#include "wbe/metrics.h"
#include "wbe/reloader.h"
#include "wbe/server.h"

enum { WORKER_STATS_MS = 60000 };
#define WORKER_DEFAULT_NAME "default" /* of exchange and topic */

void tf_worker_clear_tasks(struct tf_worker_config *c)
{
	for (size_t i = 0; i < c->task_count; i++)
		free(c->tasks[i]);
	free(c->tasks);
	c->tasks = NULL;
	c->task_count = 0;
}

void tf_worker_config_free(struct tf_worker_config *c)
{
	free(c->url);
	free(c->transport);
	free(c->exchange);
	free(c->topic);
	tf_value_unref(c->options);
	tf_worker_clear_tasks(c);
	for (size_t i = 0; i < c->dir_count; i++)
		free(c->dirs[i]);
	free(c->dirs);
	for (size_t i = 0; i < c->concurrency_count; i++)
		free(c->concurrency[i].cls);
	free(c->concurrency);
	free(c->path);
	free(c->control);
	free(c->journal);
	free(c->metrics);
	free(c->log_format);
	free(c->log_level);
	memset(c, 0, sizeof(*c));
}

static void worker_append(char ***list, size_t *count, const char *s)
{
	*list = tf_realloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = tf_strdup(s);
}

void tf_worker_add_task(struct tf_worker_config *c, const char *reference)
{
	worker_append(&c->tasks, &c->task_count, reference);
}

void tf_worker_add_concurrency(struct tf_worker_config *c, const char *cls, unsigned limit)
{
	char *name = tf_strdup(cls);
	for (char *p = name; *p; p++)
		*p = *p == ':' ? '.' : *p;
	for (size_t i = 0; i < c->concurrency_count; i++) {
		if (strcmp(c->concurrency[i].cls, name) != 0)
			continue;
		c->concurrency[i].limit = limit;
		free(name);
		return;
	}
	c->concurrency = tf_realloc(c->concurrency, (c->concurrency_count + 1) * sizeof(*c->concurrency));
	c->concurrency[c->concurrency_count++] = (struct tf_concurrency){.cls = name, .limit = limit};
}

void tf_worker_add_dir(struct tf_worker_config *c, const char *dir)
{
	worker_append(&c->dirs, &c->dir_count, dir);
}

struct worker {
	const struct tf_worker_config *config;
	struct tf_loop *loop;
	struct tf_server *server;
	struct tf_reloader *reloader;
	struct tf_control *control; /* NULL: none */
	struct tf_worker_subject subject;
	struct tf_worker_metrics metrics;
	struct tf_lag *lag; /* of the metrics, as the next: NULL: none */
	struct tf_page *page;
	const char *exchange, *topic;
	char *place; /* owned */
	unsigned slots;
	bool serving, draining, signalled;
	int signo;
	int rc;
	struct tf_err *err;
	struct tf_server_stats shown;
};

/* "amqp://guest:**@localhost:5672//" or where the filesystem transport has its folders. Caller frees. */
static char *worker_place(const struct tf_worker_config *c)
{
	struct tf_url_list urls;
	struct tf_json folder;
	if (tf_url_parse_list(c->url, c->transport, &urls, NULL) < 0)
		return tf_strdup("?");
	struct tf_buf text = TF_BUF_INIT;
	for (size_t i = 0; i < urls.count; i++) {
		char *url = tf_url_redact(&urls.urls[i]);
		tf_buf_printf(&text, "%s%s", i ? ";" : "", url);
		free(url);
	}
	if (c->options && tf_json_get(tf_value_json(c->options), "data_folder_in", &folder)) {
		char *path = tf_json_strdup(folder, NULL);
		if (path)
			tf_buf_printf(&text, " (%s)", path);
		free(path);
	}
	tf_url_list_free(&urls);
	return tf_buf_steal(&text);
}

static void worker_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct worker *w = arg;
	if (err) {
		*w->err = *err;
		w->rc = err->code;
		tf_loop_stop(w->loop);
		return;
	}
	if (w->serving) /* a new generation: the log has said so */
		return;
	w->serving = true;
	printf("serving %zu task%s on topic \"%s\" of exchange \"%s\" at %s, %u slot%s, pid %ld\n", count,
		count == 1 ? "" : "s", w->topic, w->exchange, w->place, w->slots, w->slots == 1 ? "" : "s",
		(long)getpid());
	for (size_t i = 0; i < count; i++)
		printf("  %s\n", names[i]);
	fflush(stdout);
}

static void worker_end(void *arg)
{
	struct worker *w = arg;
	tf_loop_stop(w->loop);
}

static void worker_stopped(void *arg, const struct tf_err *err)
{
	struct worker *w = arg;
	if (err) {
		*w->err = *err;
		w->rc = err->code;
	} else {
		struct tf_server_stats s;
		tf_server_stats(w->server, &s);
		w->rc = s.given_back < INT_MAX ? (int)s.given_back : INT_MAX;
	}
	tf_generations_stop(tf_server_generations(w->server), worker_end, w);
}

/* `seconds`: NAN for those of the configuration, 0 there for no limit. */
static void worker_drain(void *arg, double seconds)
{
	struct worker *w = arg;
	double limit = isnan(seconds) ? w->config->drain_timeout : seconds;
	uint64_t ms = isnan(seconds) && limit == 0 ? 0 : (uint64_t)(1000 * limit) + 1;
	struct tf_server_stats s;
	tf_server_stats(w->server, &s);
	if (!w->draining)
		tf_info("worker",
			"draining: %u running task%s will be finished; a second signal gives up at once",
			s.busy, s.busy == 1 ? "" : "s");
	w->draining = true;
	tf_server_drain(w->server, ms);
}

static void worker_signal(void *arg, int signo)
{
	struct worker *w = arg;
	if (w->signalled) {
		w->signo = signo;
		tf_loop_stop(w->loop);
		return;
	}
	w->signalled = true;
	worker_drain(w, NAN);
}

static void worker_show_stats(struct worker *w)
{
	struct tf_server_stats s;
	tf_server_stats(w->server, &s);
	w->shown = s;
	tf_info("worker",
		"requests=%" PRIu64 " succeeded=%" PRIu64 " failed=%" PRIu64 " malformed=%" PRIu64
		" joined=%" PRIu64 " from_ledger=%" PRIu64 " dropped=%" PRIu64 " busy=%u slots=%u",
		s.requests, s.succeeded, s.failed, s.malformed, s.joined, s.answered_from_ledger, s.dropped,
		s.busy, s.slots);
}

/* Nothing new, nothing said. */
static void worker_stats_due(void *arg)
{
	struct worker *w = arg;
	struct tf_server_stats s;
	tf_server_stats(w->server, &s);
	if (s.requests != w->shown.requests || s.malformed != w->shown.malformed || s.busy != w->shown.busy ||
		s.succeeded + s.failed != w->shown.succeeded + w->shown.failed)
		worker_show_stats(w);
}

/* tfhost loader --worker UUID [--path PATH] [--limits LIMITS] --dir DIR... REFERENCE... */
char **tf_worker_loader_argv(const struct tf_worker_config *c, const char *uuid)
{
	size_t n = 0;
	char **argv = tf_calloc(8 + 2 * c->dir_count + c->task_count + 1, sizeof(*argv));
	argv[n++] = tf_strdup("tfhost");
	argv[n++] = tf_strdup("loader");
	argv[n++] = tf_strdup("--worker");
	argv[n++] = tf_strdup(uuid);
	if (c->path) {
		argv[n++] = tf_strdup("--path");
		argv[n++] = tf_strdup(c->path);
	}
	if (tf_limits_any(&c->limits)) {
		argv[n++] = tf_strdup("--limits");
		argv[n++] = tf_asprintf("%" PRIu64 ",%" PRIu64 ",%" PRIu64, c->limits.time_ms,
			c->limits.warning_ms, c->limits.memory);
	}
	for (size_t i = 0; i < c->dir_count; i++) {
		argv[n++] = tf_strdup("--dir");
		argv[n++] = tf_strdup(c->dirs[i]);
	}
	for (size_t i = 0; i < c->task_count; i++)
		argv[n++] = tf_strdup(c->tasks[i]);
	return argv;
}

void tf_worker_free_argv(char **argv)
{
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* A worker without its control socket is still of use. */
static void worker_open_control(struct worker *w)
{
	const char *path = w->config->control;
	struct tf_err err;
	w->subject = (struct tf_worker_subject){.topic = w->topic,
		.exchange = w->exchange,
		.place = w->place,
		.begun_ms = tf_clock_ms(tf_loop_clock(w->loop)),
		.loop = w->loop,
		.server = w->server,
		.reloader = w->reloader,
		.drain = worker_drain,
		.drain_arg = w};
	LIST_INIT(&w->subject.followers);
	if (path && !strcmp(path, TF_WORKER_NO_CONTROL))
		return;
	if (tf_control_new(w->loop, "worker", path, tf_worker_commands, &w->subject, &w->control, &err) == 0)
		w->subject.control_path = tf_control_path(w->control);
	else
		tf_warn("worker", "no control socket, `tfhost status` will not see this worker: %s",
			err.message);
}

/* Who waits for the end: it is here, whatever brought it. */
static void worker_answer_drains(struct worker *w)
{
	while (w->subject.ending_count > 0)
		tf_command_answer_drained(&w->subject, w->subject.ending[--w->subject.ending_count]);
}

static int worker_open_page(struct worker *w, struct tf_err *err)
{
	const char *address = w->config->metrics;
	if (!address || !strcmp(address, TF_WORKER_NO_METRICS))
		return 0;
	w->lag = tf_lag_new(w->loop);
	w->metrics = (struct tf_worker_metrics){
		.server = w->server, .lag = w->lag, .exchange = w->exchange, .topic = w->topic};
	const struct tf_page_config page = {
		.address = address, .write = tf_worker_metrics_write, .arg = &w->metrics};
	return tf_page_new(w->loop, &page, &w->page, err);
}

static void worker_serve(struct worker *w)
{
	static const int signals[] = {SIGINT, SIGTERM};
	enum { COUNT = sizeof(signals) / sizeof(signals[0]) };
	struct tf_signal *handles[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		handles[i] = tf_signal_new(w->loop, signals[i], worker_signal, w);
	struct tf_timer *stats = tf_timer_new(w->loop, worker_stats_due, w);
	tf_timer_start(stats, WORKER_STATS_MS, WORKER_STATS_MS);
	tf_loop_run(w->loop);
	if (w->serving)
		worker_show_stats(w);
	tf_timer_delete(stats);
	for (size_t i = 0; i < COUNT; i++)
		tf_signal_delete(handles[i]);
}

/* Of this topic, by a hash of all that tells it from others: no name of a folder has to fit. NULL: none. Caller frees. */
static char *worker_journal(const struct worker *w)
{
	const char *given = w->config->journal, *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	const char *const parts[] = {w->place, w->exchange, w->topic};
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	char *base = NULL;
	if (given && strcmp(given, TF_WORKER_NO_JOURNAL) != 0)
		base = tf_strdup(given);
	else if (!given && state && state[0] == '/')
		base = tf_asprintf("%s/tfhost/journal", state);
	else if (!given && home && home[0])
		base = tf_asprintf("%s/.local/state/tfhost/journal", home);
	if (!base)
		return NULL;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		for (const char *c = parts[i]; c == parts[i] || c[-1]; c++)
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	char *dir = tf_asprintf("%s/%016" PRIx64, base, hash);
	free(base);
	return dir;
}

int tf_worker_run(const struct tf_worker_config *c, int *signo, struct tf_err *err)
{
	static const struct tf_server_events events = {.ready = worker_ready, .stopped = worker_stopped};
	struct worker w = {.config = c, .err = err};
	*signo = 0;
	if (c->task_count == 0)
		return tf_err_set(
			err, TF_EINVAL, "no tasks to serve: name a script, a module, or module:Task");
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	w.slots = c->slots ? c->slots : cores > 0 ? (unsigned)cores : 1;
	w.exchange = c->exchange ? c->exchange : WORKER_DEFAULT_NAME;
	w.topic = c->topic ? c->topic : WORKER_DEFAULT_NAME;
	char uuid[TF_UUID_LEN + 1];
	tf_uuid(uuid);
	tf_log_set_ids(&(struct tf_log_ids){.worker = uuid});
	char **argv = tf_worker_loader_argv(c, uuid);
	struct tf_server_config config = {
		.transport = {.url = c->url,
			.transport = c->transport,
			.options = c->options,
			.exchange = w.exchange,
			.retry = c->retry},
		.topic = w.topic,
		.uuid = uuid,
		.pool = {.slots = w.slots,
			.loader_argv = argv,
			.max_tasks = c->max_tasks,
			.max_growth = c->max_growth},
		.limits = c->limits,
		.concurrency = c->concurrency,
		.concurrency_count = c->concurrency_count,
		.load_ms = (uint64_t)(1000 * c->load_timeout),
		.journal_ms = (uint64_t)(1000 * c->journal_after),
	};
	w.place = worker_place(c);
	char *journal = worker_journal(&w);
	config.journal = journal;
	w.loop = tf_loop_new();
	w.reloader = tf_reloader_new(w.loop, !c->no_watch);
	w.rc = tf_server_new(w.loop, &config, &events, &w, &w.server, err);
	if (w.rc == 0)
		w.rc = worker_open_page(&w, err);
	if (w.rc == 0) {
		tf_reloader_attach(w.reloader, tf_server_generations(w.server));
		worker_open_control(&w);
		worker_serve(&w);
	}
	tf_page_delete(w.page);
	tf_lag_delete(w.lag);
	tf_reloader_delete(w.reloader);
	worker_answer_drains(&w);
	tf_server_delete(w.server); /* answers who waits at the control socket */
	w.subject.server = NULL;
	tf_control_delete(w.control);
	tf_loop_delete(w.loop);
	free(w.place);
	free(journal);
	tf_worker_free_argv(argv);
	*signo = w.signo;
	return w.rc;
}
