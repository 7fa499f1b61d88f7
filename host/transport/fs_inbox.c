#include "transport/fs_inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/fs_backlog.h"
#include "transport/fs_turn.h"
#include "transport/kombu_file.h"

enum {
	TURN_NAMES = 4096,
	MTIME_GRACE_MS = 2000, /* a folder's time stamp may be this coarse */
	LISTING_SHARE = 20,    /* a poll spends at most this part (1/n) of the time on listings */
};

struct tf_fs_consumer {
	TAILQ_ENTRY(tf_fs_consumer) link;
	char *topic, *queue; /* owned */
	unsigned prefetch, unsettled;
	struct tf_fs_backlog backlog;
};

static uint64_t now_ms(void)
{
	return tf_clock_ms(&tf_clock_real);
}

#define warn(in, ...) tf_fs_warnings_add(&(in)->claims.warnings, (in)->path, __VA_ARGS__)

/* ---- names ------------------------------------------------------------------------------------ */

static struct tf_fs_consumer *consumer_of(struct tf_fs_inbox *in, const char *name, uint64_t *ms)
{
	struct tf_kombu_name parsed;
	char queue[TF_KOMBU_QUEUE_MAX + 1];

	if (!tf_kombu_name_parse(name, &parsed) || parsed.queue_len > TF_KOMBU_QUEUE_MAX)
		return NULL;
	memcpy(queue, parsed.queue, parsed.queue_len);
	queue[parsed.queue_len] = '\0';
	*ms = parsed.ms;
	return tf_map_get(in->by_queue, queue);
}

void tf_fs_inbox_add(struct tf_fs_inbox *in, const char *name)
{
	uint64_t ms;
	struct tf_fs_consumer *c = consumer_of(in, name, &ms);

	if (!c)
		return;
	tf_fs_backlog_add(&c->backlog, ms, name);
	tf_post_wake(in->post);
}

void tf_fs_inbox_list(struct tf_fs_inbox *in)
{
	in->list_wanted = true;
	tf_post_wake(in->post);
}

static void start_listing(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;
	struct timespec now;
	struct stat st;
	int copy = openat(in->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	in->listing = copy >= 0 ? fdopendir(copy) : NULL;
	if (!in->listing) { /* no descriptor, no memory: at the next poll again */
		warn(in, "listing folder %s: %s", in->path, strerror(errno));
		if (copy >= 0)
			close(copy);
		in->paused = true;
		return;
	}
	in->list_wanted = false;
	in->list_began = now_ms();
	/* A change in the same tick of the folder's clock, but behind our back, would not show. */
	in->list_unsure = fstat(copy, &st) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
			  (now.tv_sec - st.st_mtim.tv_sec) * 1000 <= MTIME_GRACE_MS;
	in->list_mtime = st.st_mtim;
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		tf_fs_backlog_fill(&c->backlog);
	}
}

static void end_listing(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;

	closedir(in->listing);
	in->listing = NULL;
	in->list_ended = now_ms();
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		tf_fs_backlog_filled(&c->backlog);
	}
}

/* Nothing is claimed while names are missing: what is older comes first. */
static void go_on_listing(struct tf_fs_inbox *in)
{
	struct dirent *d;
	uint64_t ms;
	int i;

	for (i = 0; i < TURN_NAMES; i++) {
		struct tf_fs_consumer *c;

		d = readdir(in->listing);
		if (!d) {
			end_listing(in);
			return;
		}
		c = consumer_of(in, d->d_name, &ms);
		if (c)
			tf_fs_backlog_add(&c->backlog, ms, d->d_name);
	}
	tf_post_wake(in->post);
}

/* ---- claiming --------------------------------------------------------------------------------- */

static void deliver(struct tf_fs_inbox *in, struct tf_fs_claim *c, struct tf_kombu_file *file)
{
	struct tf_transport *t = in->transport;
	char *topic = tf_strdup(c->consumer->topic); /* the consumer may go in the callback */

	file->m.topic = topic;
	file->m.tag = tf_tags_add(&in->tags, c);
	c->consumer->unsettled++;
	t->stats.received++;
	t->events.message(t->arg, &file->m);
	free(topic);
}

/* Read a claim that is on no list, and send it where it belongs. Returns the bytes read. */
static size_t take(struct tf_fs_inbox *in, struct tf_fs_claim *c)
{
	struct tf_kombu_file file;
	struct tf_err err;
	size_t len;
	int rc = tf_fs_claims_read(&in->claims, c, &file, &len, &err);

	if (rc == 0) {
		deliver(in, c, &file);
		tf_kombu_file_destroy(&file);
	} else if (rc == TF_EAGAIN && !tf_fs_claims_is_late(c)) {
		tf_fs_claims_wait(&in->claims, c);
	} else if (rc == TF_ENOTFOUND) {
		in->broken = tf_fs_spool_is_gone(in->spool);
		tf_fs_claim_free(c);
	} else {
		tf_fs_claims_refuse(&in->claims, c, &err);
	}
	return len;
}

static bool has_room(const struct tf_fs_consumer *c)
{
	return c->prefetch == 0 || c->unsettled < c->prefetch;
}

/* Incomplete claims take up no room while they wait, so there may be none for them now. */
static void reread(struct tf_fs_inbox *in)
{
	struct tf_fs_claim *c;
	struct tf_fs_turn turn = tf_fs_turn_begin();

	while (!tf_fs_turn_is_over(&turn) && !in->closed && !in->broken &&
		(c = tf_fs_claims_pop_due(&in->claims))) {
		size_t bytes = 0;
		if (has_room(c->consumer))
			bytes = take(in, c);
		else
			tf_fs_claims_undo(&in->claims, c);
		tf_fs_turn_count(&turn, bytes);
	}
}

/* Come again when the first of the incomplete claims is due. */
static void plan_reread(struct tf_fs_inbox *in)
{
	uint64_t ms = tf_fs_claims_due(&in->claims);

	if (ms)
		tf_timer_start(in->reread, ms, 0);
}

static struct tf_fs_consumer *next_consumer(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;

	TAILQ_FOREACH(c, &in->consumers, link)
	{
		if (has_room(c) && c->backlog.count)
			return c;
	}
	return NULL;
}

/* Claim and deliver the consumer's first message. Returns the bytes read. */
static size_t serve(struct tf_fs_inbox *in, struct tf_fs_consumer *c)
{
	char *message = tf_fs_backlog_pop(&c->backlog);
	int rc = tf_fs_spool_claim(in->spool, message);

	TAILQ_REMOVE(&in->consumers, c, link);
	TAILQ_INSERT_TAIL(&in->consumers, c, link);
	if (rc == 0)
		return take(in, tf_fs_claim_new(message, c));
	if (rc == ENOENT) { /* another consumer was faster, as a rule */
		in->broken = tf_fs_spool_is_gone(in->spool);
	} else {
		warn(in, "claiming %s/%s: %s", in->path, message, strerror(rc));
		in->list_unsure = true;                   /* the name comes up again */
		in->paused = rc != EACCES && rc != EPERM; /* those are about this file alone */
	}
	free(message);
	return 0;
}

/* False: nothing more to do in this turn. */
static bool serve_all(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;
	struct tf_fs_turn turn = tf_fs_turn_begin();

	while ((c = next_consumer(in))) {
		if (tf_fs_turn_is_over(&turn))
			return true;
		tf_fs_turn_count(&turn, serve(in, c));
		if (in->closed || in->broken || in->paused)
			return false;
	}
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		if (has_room(c) && c->backlog.missed)
			tf_fs_inbox_list(in);
	}
	return false;
}

void tf_fs_inbox_work(struct tf_fs_inbox *in)
{
	if (in->folder < 0 || in->broken)
		return;
	reread(in);
	if (in->closed || in->broken)
		return;
	if (in->list_wanted && !in->listing && !in->paused)
		start_listing(in);
	if (in->listing)
		go_on_listing(in);
	if (!in->listing && !in->paused && serve_all(in))
		tf_post_wake(in->post);
	if (!in->closed)
		plan_reread(in);
}

void tf_fs_inbox_poll(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;
	struct stat st;
	bool hungry = false;

	if (in->folder < 0)
		return;
	in->paused = false;
	tf_post_wake(in->post);
	tf_fs_claims_retry(&in->claims);
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		hungry |= has_room(c) && !c->backlog.count;
	}
	if (!hungry || in->listing ||
		now_ms() - in->list_ended < (in->list_ended - in->list_began) * LISTING_SHARE)
		return;
	if (in->list_unsure || fstat(in->folder, &st) < 0 || st.st_mtim.tv_sec != in->list_mtime.tv_sec ||
		st.st_mtim.tv_nsec != in->list_mtime.tv_nsec)
		tf_fs_inbox_list(in);
}

/* ---- settling --------------------------------------------------------------------------------- */

void tf_fs_inbox_settle(struct tf_fs_inbox *in, uint64_t tag, enum tf_settle how)
{
	struct tf_fs_claim *c = tf_tags_take(&in->tags, tag);

	if (!c)
		return;
	c->consumer->unsettled--;
	if (c->consumer->backlog.count || c->consumer->backlog.missed)
		tf_post_wake(in->post);
	if (how == TF_REQUEUE)
		in->transport->stats.requeued++;
	if (how == TF_REJECT)
		in->transport->stats.rejected++;
	tf_fs_claims_finish(&in->claims, c, how == TF_REQUEUE ? TF_FS_GIVE_BACK : TF_FS_REMOVE);
}

int tf_fs_inbox_consume(struct tf_fs_inbox *in, const char *topic, unsigned prefetch, struct tf_err *err)
{
	struct tf_fs_consumer *c;
	char *queue = tf_kombu_queue(in->transport->exchange, topic, err);

	if (!queue)
		return TF_EINVAL;
	if (tf_map_get(in->by_queue, queue)) {
		free(queue);
		return tf_err_set(err, TF_EEXIST, "topic %s is consumed already", topic);
	}
	c = TF_NEW(struct tf_fs_consumer);
	c->topic = tf_strdup(topic);
	c->queue = queue;
	c->prefetch = prefetch;
	if (in->listing)
		tf_fs_backlog_fill(&c->backlog);
	tf_map_set(in->by_queue, queue, c);
	TAILQ_INSERT_TAIL(&in->consumers, c, link);
	tf_fs_inbox_list(in);
	return 0;
}

void tf_fs_inbox_limit(struct tf_fs_inbox *in, const char *topic, unsigned prefetch)
{
	struct tf_fs_consumer *c;

	TAILQ_FOREACH(c, &in->consumers, link)
	{
		if (strcmp(c->topic, topic) == 0)
			c->prefetch = prefetch;
	}
	tf_post_wake(in->post);
}

void tf_fs_inbox_each(
	struct tf_fs_inbox *in, void (*visit)(void *arg, const char *topic, const char *queue), void *arg)
{
	struct tf_fs_consumer *c;

	TAILQ_FOREACH(c, &in->consumers, link)
	{
		visit(arg, c->topic, c->queue);
	}
}

/* ---- beginning and end ------------------------------------------------------------------------ */

static void returned(void *arg, const char *message)
{
	tf_fs_inbox_add(arg, message);
}

static void wake(void *arg)
{
	tf_post_wake(((struct tf_fs_inbox *)arg)->post);
}

void tf_fs_inbox_create(
	struct tf_fs_inbox *in, struct tf_transport *t, struct tf_loop *loop, struct tf_post *post)
{
	*in = (struct tf_fs_inbox){.transport = t, .post = post, .folder = -1};
	tf_fs_claims_create(&in->claims, t, returned, in);
	in->reread = tf_timer_new(loop, wake, in);
	in->by_queue = tf_map_new();
	TAILQ_INIT(&in->consumers);
}

void tf_fs_inbox_attach(
	struct tf_fs_inbox *in, const char *path, int folder, struct tf_fs_spool *spool, int processed)
{
	in->path = path;
	in->folder = folder;
	in->spool = spool;
	tf_fs_claims_attach(&in->claims, path, folder, spool, processed);
	in->broken = in->paused = false;
	tf_fs_inbox_list(in);
}

static void forget_each(void *arg, void *message)
{
	(void)arg;
	tf_fs_claim_free(message);
}

void tf_fs_inbox_detach(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;

	tf_tags_drain(&in->tags, forget_each, NULL);
	tf_fs_claims_detach(&in->claims);
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		c->unsettled = 0;
		tf_fs_backlog_destroy(&c->backlog);
	}
	if (in->listing)
		closedir(in->listing);
	in->listing = NULL;
	in->folder = -1;
	tf_timer_stop(in->reread);
}

struct leaving {
	struct tf_fs_inbox *in;
	uint64_t end;
};

static void leave_claim(void *arg, void *message)
{
	struct leaving *l = arg;
	struct tf_fs_claim *c = message;

	if (tf_is_uuid(c->consumer->topic)) {
		tf_fs_claims_finish(&l->in->claims, c, TF_FS_REMOVE);
	} else if (now_ms() < l->end) {
		l->in->transport->stats.requeued++;
		tf_fs_claims_finish(&l->in->claims, c, TF_FS_GIVE_BACK);
	} else { /* left for others to recover */
		tf_fs_claim_free(c);
	}
}

/* Replies that nobody will read: the queue was ours alone (auto_delete does this on a broker). */
static void remove_unread(struct tf_fs_inbox *in, uint64_t end)
{
	struct tf_fs_consumer *c;
	struct dirent *d;
	uint64_t ms;
	bool private = false;

	TAILQ_FOREACH(c, &in->consumers, link)
	{
		private |= tf_is_uuid(c->topic);
	}
	if (!private)
		return;
	start_listing(in);
	while (in->listing && now_ms() < end && (d = readdir(in->listing))) {
		c = consumer_of(in, d->d_name, &ms);
		if (c && tf_is_uuid(c->topic))
			unlinkat(in->folder, d->d_name, 0);
	}
}

void tf_fs_inbox_close(struct tf_fs_inbox *in, unsigned ms)
{
	struct leaving l = {in, now_ms() + ms};

	in->closed = true;
	if (in->folder < 0)
		return;
	tf_fs_claims_retry(&in->claims);
	tf_tags_drain(&in->tags, leave_claim, &l);
	tf_fs_claims_undo_incomplete(&in->claims);
	if (in->listing)
		end_listing(in);
	remove_unread(in, l.end);
	tf_fs_inbox_detach(in);
}

void tf_fs_inbox_destroy(struct tf_fs_inbox *in)
{
	struct tf_fs_consumer *c;

	while ((c = TAILQ_FIRST(&in->consumers))) {
		TAILQ_REMOVE(&in->consumers, c, link);
		tf_fs_backlog_destroy(&c->backlog);
		free(c->topic);
		free(c->queue);
		free(c);
	}
	tf_map_delete(in->by_queue, NULL);
	tf_tags_destroy(&in->tags);
	tf_timer_delete(in->reread);
	in->by_queue = NULL;
	in->reread = NULL;
}
