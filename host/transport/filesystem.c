#include "transport/filesystem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "transport/fs_folder.h"
#include "transport/fs_diagnose.h"
#include "transport/fs_options.h"
#include "transport/fs_inbox.h"
#include "transport/fs_outbox.h"
#include "transport/fs_spool.h"
#include "transport/fs_watch.h"
#include "transport/kombu_table.h"
#include "transport/options.h"

enum {
	RECOVER_MS = 1000,
	RECOVER_MESSAGES = 256, /* a turn */
	CLOSE_MS = 2000,        /* at most, of which ... */
	GIVE_BACK_MS = 500,     /* ... this much is left for what was received */
	WATCHED_POLLS = 5,      /* polling_interval is this many times as long while inotify works */
	FILE_MAX_EXTRA = 1 << 20,
};

struct fs {
	struct tf_transport base;
	struct tf_fs_options options;
	bool watch_warned, register_due;
	uint64_t retry_first, retry_max, retry_next; /* ms */

	struct tf_post *post; /* all callbacks are made from it */
	struct tf_timer *poll, *recover, *retry;
	bool poll_due, recover_due, retry_due;
	bool announced;    /* the state was reported since it changed */
	struct tf_err why; /* of being down */
	unsigned depth;    /* of our post's callback */
	bool closed;       /* inside it: free on the way out */

	/* while up */
	int in_fd, out_fd, processed_fd;        /* in and out may be the same */
	struct tf_fs_spool in_spool, out_spool; /* out_spool is unused if they are */
	struct tf_fs_watch *watch;              /* NULL: polling */

	struct tf_fs_inbox inbox;
	struct tf_fs_outbox outbox;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- up and down ------------------------------------------------------------------------------ */

static void on_name(void *arg, const char *name)
{
	tf_fs_inbox_add(&((struct fs *)arg)->inbox, name);
}

static void on_lost(void *arg)
{
	tf_fs_inbox_list(&((struct fs *)arg)->inbox);
}

static void on_gone(void *arg)
{
	struct fs *fs = arg;

	fs->inbox.broken = true;
	tf_post_wake(fs->post);
}

static const struct tf_fs_watch_events watch_events = {on_name, on_lost, on_gone};

static void start_watch(struct fs *fs)
{
	struct tf_err err;
	uint64_t poll = (uint64_t)(fs->options.polling_interval * 1000);

	if (fs->options.watch_wanted &&
		tf_fs_watch_new(fs->base.loop, fs->in_fd, fs->options.in_path, &watch_events, fs, &fs->watch,
			&err) < 0 &&
		!fs->watch_warned) {
		tf_warn("filesystem", "%s; looking for messages every %g s instead", err.message,
			fs->options.polling_interval);
		fs->watch_warned = true;
	}
	poll = (poll ? poll : 1) * (fs->watch ? WATCHED_POLLS : 1);
	tf_timer_start(fs->poll, poll, poll);
}

static void release(struct fs *fs)
{
	tf_fs_watch_delete(fs->watch);
	fs->watch = NULL;
	tf_fs_spool_destroy(&fs->in_spool);
	tf_fs_spool_destroy(&fs->out_spool);
	if (fs->out_fd != fs->in_fd)
		close_fd(&fs->out_fd);
	fs->out_fd = -1;
	close_fd(&fs->in_fd);
	close_fd(&fs->processed_fd);
	tf_timer_stop(fs->poll);
	tf_timer_stop(fs->recover);
}

static int acquire(struct fs *fs, struct tf_err *err)
{
	int rc;

	fs->in_fd = tf_fs_folder_open(fs->options.in_path, err);
	if (fs->in_fd < 0)
		return fs->in_fd;
	fs->out_fd = tf_fs_folder_is(fs->in_fd, fs->options.out_path)
			     ? fs->in_fd
			     : tf_fs_folder_open(fs->options.out_path, err);
	if (fs->out_fd < 0)
		return fs->out_fd;
	if (fs->options.store_processed) {
		fs->processed_fd = tf_fs_folder_open(fs->options.processed_path, err);
		if (fs->processed_fd < 0)
			return fs->processed_fd;
	}
	rc = tf_fs_spool_create(&fs->in_spool, fs->in_fd, fs->options.in_path, err);
	if (rc == 0 && fs->out_fd != fs->in_fd)
		rc = tf_fs_spool_create(&fs->out_spool, fs->out_fd, fs->options.out_path, err);
	return rc;
}

static void set_down(struct fs *fs, const struct tf_err *err)
{
	uint64_t delay = fs->retry_next;

	fs->announced =
		!fs->base.up && fs->why.code == err->code && strcmp(fs->why.message, err->message) == 0;
	fs->base.up = false;
	fs->why = *err;
	fs->retry_next = delay * 2 < fs->retry_max ? delay * 2 : fs->retry_max;
	tf_timer_start(fs->retry, delay - tf_random((unsigned)(delay / 4) + 1), 0);
}

/* Before anybody is told of it. */
static void open_queue(void *arg, const char *topic, const char *queue)
{
	struct fs *fs = arg;
	int rc = tf_is_uuid(topic) ? tf_fs_spool_open_queue(&fs->in_spool, queue) : 0;

	if (rc && rc != ENAMETOOLONG)
		tf_warn("filesystem", "queue %s cannot be marked as open in %s: %s", queue,
			fs->options.in_path, strerror(rc));
}

static void close_queue(void *arg, const char *topic, const char *queue)
{
	struct fs *fs = arg;

	if (tf_is_uuid(topic) && fs->in_spool.own >= 0)
		tf_fs_spool_close_queue(&fs->in_spool, queue);
}

static void try_up(struct fs *fs)
{
	struct tf_err err = {0};

	fs->retry_due = false;
	if (acquire(fs, &err) < 0) {
		release(fs);
		set_down(fs, &err);
		return;
	}
	start_watch(fs);
	tf_fs_inbox_attach(&fs->inbox, fs->options.in_path, fs->in_fd, &fs->in_spool, fs->processed_fd);
	tf_fs_outbox_attach(
		&fs->outbox, fs->options.out_path, fs->out_fd == fs->in_fd ? &fs->in_spool : &fs->out_spool);
	tf_fs_inbox_each(&fs->inbox, open_queue, fs);
	tf_timer_start(fs->recover, RECOVER_MS, RECOVER_MS);
	fs->recover_due = true;
	if (fs->why.code)
		fs->base.stats.reconnects++;
	fs->retry_next = fs->retry_first;
	fs->base.up = true;
	fs->announced = false;
}

static void go_down(struct fs *fs)
{
	struct tf_err err;

	tf_err_set(&err, TF_EIO, "data folder %s was removed or replaced",
		fs->inbox.broken ? fs->options.in_path : fs->options.out_path);
	tf_fs_inbox_detach(&fs->inbox);
	tf_fs_outbox_detach(&fs->outbox);
	release(fs);
	set_down(fs, &err);
}

static void announce(struct fs *fs)
{
	struct tf_err why = fs->why;

	if (fs->announced)
		return;
	fs->announced = true;
	if (!fs->base.up)
		tf_warn("filesystem", "%s", why.message);
	if (fs->base.events.state)
		fs->base.events.state(fs->base.arg, fs->base.up, fs->base.up ? NULL : &why);
}

/* ---- work ------------------------------------------------------------------------------------- */

/* inotify tells of a removed folder only once nobody has it open, and we do. */
static void check_folders(struct fs *fs)
{
	if (!tf_fs_folder_is(fs->in_fd, fs->options.in_path))
		fs->inbox.broken = true;
	if (!tf_fs_folder_is(fs->out_fd, fs->options.out_path))
		fs->outbox.broken = true;
}

/* Both folders: in a mirrored pair, what a dead writer left is on the other side. */
static void recover_claims(struct fs *fs)
{
	size_t max = fs->base.max_message / 3 * 4 + FILE_MAX_EXTRA;
	unsigned count = tf_fs_spool_recover(&fs->in_spool, RECOVER_MESSAGES, max);

	if (fs->out_spool.own >= 0)
		count += tf_fs_spool_recover(&fs->out_spool, RECOVER_MESSAGES, max);
	fs->recover_due = count >= RECOVER_MESSAGES;
	if (!count)
		return;
	tf_warn("filesystem", "%s: put back %u messages of processes that died", fs->options.in_path, count);
	if (!fs->watch)
		tf_fs_inbox_list(&fs->inbox);
	if (fs->recover_due)
		tf_post_wake(fs->post);
}

static void register_queue(void *arg, const char *topic, const char *queue)
{
	struct fs *fs = arg;
	struct tf_err err;
	int rc = tf_kombu_table_register(fs->options.control_path, fs->base.exchange, topic, queue, &err);

	if (rc == TF_EAGAIN)
		fs->register_due = true;
	else if (rc < 0)
		tf_warn("filesystem", "%s", err.message);
}

static void work(struct fs *fs)
{
	bool tick = fs->recover_due; /* now, or about once a second */

	if (!fs->base.up && fs->retry_due)
		try_up(fs);
	if (fs->base.up && fs->recover_due)
		check_folders(fs);
	if (fs->base.up && (fs->inbox.broken || fs->outbox.broken))
		go_down(fs);
	if (fs->base.up && fs->recover_due)
		recover_claims(fs);
	if (fs->base.up && fs->poll_due)
		tf_fs_inbox_poll(&fs->inbox);
	fs->poll_due = false;
	if (fs->base.up && fs->register_due && tick) {
		fs->register_due = false;
		tf_fs_inbox_each(&fs->inbox, register_queue, fs);
	}
	announce(fs);
	if (fs->closed || !fs->base.up)
		return;
	tf_fs_outbox_work(&fs->outbox);
	if (fs->closed)
		return;
	tf_fs_inbox_work(&fs->inbox);
	if (!fs->closed)
		tf_fs_outbox_work(&fs->outbox); /* answers go out at once */
	if (!fs->closed && (fs->inbox.broken || fs->outbox.broken))
		tf_post_wake(fs->post);
}

static void free_fs(struct fs *fs)
{
	tf_fs_options_free(&fs->options);
	free(fs);
}

static void on_post(void *arg)
{
	struct fs *fs = arg;

	fs->depth++;
	work(fs);
	fs->depth--;
	if (fs->closed)
		free_fs(fs);
}

static void on_poll(void *arg)
{
	struct fs *fs = arg;

	fs->poll_due = true;
	tf_post_wake(fs->post);
}

static void on_recover(void *arg)
{
	struct fs *fs = arg;

	fs->recover_due = true;
	tf_post_wake(fs->post);
}

static void on_retry(void *arg)
{
	struct fs *fs = arg;

	fs->retry_due = true;
	tf_post_wake(fs->post);
}

/* ---- operations ------------------------------------------------------------------------------- */

static void read_retry(struct fs *fs, const struct tf_retry_options *r)
{
	double first = r->interval_start > 0 ? r->interval_start : 1;
	double max = r->interval_max > first ? r->interval_max : first;

	fs->retry_first = fs->retry_next = (uint64_t)(first * 1000) + 1;
	fs->retry_max = (uint64_t)(max * 1000) + 1;
}

static int fs_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_transport **out, struct tf_err *err)
{
	struct fs *fs = TF_NEW(struct fs);
	int rc = tf_fs_options_read(&fs->options, config, urls, err);

	if (rc < 0) {
		free_fs(fs);
		return rc;
	}
	read_retry(fs, &config->retry);
	fs->in_fd = fs->out_fd = fs->processed_fd = -1;
	fs->in_spool = fs->out_spool = TF_FS_SPOOL_INIT;
	fs->announced = true;
	fs->post = tf_post_new(loop, on_post, fs);
	fs->poll = tf_timer_new(loop, on_poll, fs);
	fs->recover = tf_timer_new(loop, on_recover, fs);
	fs->retry = tf_timer_new(loop, on_retry, fs);
	tf_fs_inbox_create(&fs->inbox, &fs->base, loop, fs->post);
	tf_fs_outbox_create(&fs->outbox, &fs->base, loop, fs->post, fs->options.sync);
	on_retry(fs); /* the first try is in the next turn */
	*out = &fs->base;
	return 0;
}

static int fs_consume(struct tf_transport *base, const char *topic, const char *group, unsigned prefetch,
	struct tf_err *err)
{
	(void)group;
	struct fs *fs = (struct fs *)base;
	int rc = tf_fs_inbox_consume(&fs->inbox, topic, prefetch, err);

	if (rc == 0 && base->up)
		tf_fs_inbox_each(&fs->inbox, open_queue, fs);
	if (rc == 0 && fs->options.register_wanted)
		fs->register_due = fs->recover_due = true;
	return rc;
}

static void fs_limit(struct tf_transport *base, const char *topic, unsigned prefetch)
{
	tf_fs_inbox_limit(&((struct fs *)base)->inbox, topic, prefetch);
}

static int fs_publish(struct tf_transport *base, const struct tf_message *m, unsigned flags, uint64_t id,
	struct tf_err *err)
{
	/* A queue is its files; but one that only peers of ours have may have been closed. */
	bool ours = m->peer && !(flags & TF_PUBLISH_DECLARE) && tf_is_uuid(m->topic);
	return tf_fs_outbox_add(&((struct fs *)base)->outbox, m, ours, id, err);
}

static void fs_settle(struct tf_transport *base, uint64_t tag, enum tf_settle how)
{
	tf_fs_inbox_settle(&((struct fs *)base)->inbox, tag, how);
}

static void fs_close(struct tf_transport *base)
{
	struct fs *fs = (struct fs *)base;
	uint64_t end = tf_clock_ms(&tf_clock_real) + CLOSE_MS, now;

	fs->closed = true;
	if (!fs->base.up && !fs->why.code) /* closed before its first turn: what was published goes out */
		try_up(fs);
	tf_fs_outbox_close(&fs->outbox, CLOSE_MS - GIVE_BACK_MS);
	tf_fs_inbox_each(&fs->inbox, close_queue, fs); /* what comes from now on, its sender removes */
	now = tf_clock_ms(&tf_clock_real);
	tf_fs_inbox_close(&fs->inbox, now < end ? (unsigned)(end - now) : 0);
	release(fs);
	tf_fs_inbox_destroy(&fs->inbox);
	tf_fs_outbox_destroy(&fs->outbox);
	tf_timer_delete(fs->poll);
	tf_timer_delete(fs->recover);
	tf_timer_delete(fs->retry);
	tf_post_delete(fs->post);
	if (!fs->depth)
		free_fs(fs);
}

const struct tf_transport_ops tf_transport_filesystem = {
	.name = "filesystem",
	.schemes = {"filesystem"},
	.open = fs_open,
	.consume = fs_consume,
	.limit = fs_limit,
	.publish = fs_publish,
	.settle = fs_settle,
	.close = fs_close,
	.diagnose = tf_fs_diagnose,
};
