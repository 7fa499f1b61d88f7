#include "transport/fs_inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "transport/fs_backlog.h"
#include "transport/fs_folder.h"
#include "transport/kombu_file.h"

enum {
	TURN_MESSAGES = 256, /* then other handles of the loop get their turn */
	TURN_BYTES = 8 << 20,
	TURN_NAMES = 4096,
	WRITER_GRACE_MS = 2000, /* what a Python writer gets to finish a file (PROTOCOL.md 12.6) */
	REREAD_FIRST_MS = 10,   /* doubles */
	MTIME_GRACE_MS = 2000,  /* a folder's time stamp may be this coarse */
	LISTING_SHARE = 20,     /* a poll spends at most this part (1/n) of the time on listings */
	FILE_EXTRA = 1 << 20,   /* what a file has besides the body */
	WARNINGS_A_SECOND = 5,
};

static const char QUARANTINE[] = ".tfhost-quarantine";

struct tf_fs_consumer {
	TAILQ_ENTRY(tf_fs_consumer) link;
	char *topic, *queue; /* owned */
	unsigned prefetch, unsettled;
	struct tf_fs_backlog backlog;
};

enum fate { REMOVE, GIVE_BACK, SET_ASIDE };

struct tf_fs_claim {
	TAILQ_ENTRY(tf_fs_claim) link; /* while incomplete or stuck */
	char *message;                 /* owned: its name */
	struct tf_fs_consumer *consumer;
	uint64_t give_up, next; /* ms; while incomplete */
	unsigned delay;
	enum fate fate; /* while stuck */
};

static uint64_t now_ms(void)
{
	return tf_clock_ms(&tf_clock_real);
}

static size_t max_file(const struct tf_fs_inbox *in)
{
	return in->transport->max_message / 3 * 4 + FILE_EXTRA;
}

/* Somebody else's thousand broken files must not fill the log. */
__attribute__((format(printf, 2, 3))) static void warn(struct tf_fs_inbox *in, const char *fmt, ...)
{
	char text[1200];
	va_list args;

	if (now_ms() - in->warned_at >= 1000) {
		if (in->unwarned)
			tf_warn("filesystem", "%s: %u more warnings like the last ones", in->path,
				in->unwarned);
		in->warned_at = now_ms();
		in->warned = in->unwarned = 0;
	}
	if (in->warned == WARNINGS_A_SECOND) {
		in->unwarned++;
		return;
	}
	in->warned++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tf_warn("filesystem", "%s", text);
}

static void claim_free(struct tf_fs_claim *c)
{
	free(c->message);
	free(c);
}

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

/* Out of sight of everybody, but kept for a look. */
static int set_aside(struct tf_fs_inbox *in, struct tf_fs_claim *c)
{
	char other[TF_UUID_LEN + 1];
	struct tf_err err;
	int rc;

	if (in->quarantine < 0)
		in->quarantine = tf_fs_folder_open_in(in->folder, in->path, QUARANTINE, &err);
	if (in->quarantine < 0) {
		warn(in, "%s", err.message);
		return EIO;
	}
	rc = tf_fs_spool_move(in->spool, c->message, in->quarantine, c->message, max_file(in));
	if (rc == EEXIST || rc == ENOTEMPTY || rc == EISDIR || rc == ENOTDIR) { /* a folder of that name */
		tf_uuid(other);
		rc = tf_fs_spool_move(in->spool, c->message, in->quarantine, other, max_file(in));
	}
	if (rc == ENOENT && tf_fs_folder_is_gone(in->quarantine)) { /* emptied by hand; made anew next time */
		close(in->quarantine);
		in->quarantine = -1;
		rc = ESTALE;
	}
	return rc;
}

static int remove_claim(struct tf_fs_inbox *in, struct tf_fs_claim *c)
{
	int rc;

	if (in->processed >= 0) {
		rc = tf_fs_spool_move(in->spool, c->message, in->processed, c->message, max_file(in));
		if (rc == 0)
			return 0;
		/* a lost copy is better than a task that runs again */
		warn(in, "%s: cannot be kept in processed_folder: %s", c->message, strerror(rc));
	}
	return tf_fs_spool_remove(in->spool, c->message);
}

/* What fails is tried again at each poll: left alone, a settled message would come back when we are
 * gone, and a returned one would not. Takes the claim. */
static void finish(struct tf_fs_inbox *in, struct tf_fs_claim *c, enum fate fate)
{
	static const char *const what[] = {"removing", "putting back", "setting aside"};
	int rc = fate == REMOVE      ? remove_claim(in, c)
		 : fate == GIVE_BACK ? tf_fs_spool_give_back(in->spool, c->message, true, max_file(in))
				     : set_aside(in, c);

	if (rc && rc != ENOENT) {
		warn(in, "%s %s/%s: %s", what[fate], in->path, c->message, strerror(rc));
		c->fate = fate;
		TAILQ_INSERT_TAIL(&in->stuck, c, link);
		return;
	}
	if (fate == GIVE_BACK)
		tf_fs_inbox_add(in, c->message);
	claim_free(c);
}

static void finish_stuck(struct tf_fs_inbox *in)
{
	struct tf_fs_claims again = TAILQ_HEAD_INITIALIZER(again);
	struct tf_fs_claim *c;

	TAILQ_CONCAT(&again, &in->stuck, link);
	while ((c = TAILQ_FIRST(&again))) {
		TAILQ_REMOVE(&again, c, link);
		TF_ASSERT(TAILQ_FIRST(&again) != c);
		finish(in, c, c->fate);
	}
}

/* Takes the claim. */
static void quarantine(struct tf_fs_inbox *in, struct tf_fs_claim *c, const struct tf_err *why)
{
	if (why->code == TF_ELIMIT)
		in->transport->stats.oversized++;
	else
		in->transport->stats.malformed++;
	warn(in, "%s: not a message: %s; moved to %s/%s", c->message, why->message, in->path, QUARANTINE);
	finish(in, c, SET_ASIDE);
}

/* As tf_kombu_file_read, and TF_ENOTFOUND: the claim is gone. */
static int read_claim(struct tf_fs_inbox *in, struct tf_fs_claim *c, struct tf_kombu_file *out, size_t *len,
	struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT;
	int rc = tf_fs_spool_read(in->spool, c->message, max_file(in), &text);

	*len = text.len;
	switch (rc) {
	case 0:
		rc = tf_kombu_file_read(text.data, text.len, in->transport->max_message, out, err);
		break;
	case EINVAL:
		rc = tf_err_set(err, TF_EFORMAT, "no regular file");
		break;
	case EFBIG:
		rc = tf_err_set(err, TF_ELIMIT, "the file has more than %zu bytes", max_file(in));
		break;
	case ENOENT:
		rc = TF_ENOTFOUND;
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM: /* our trouble, not the file's: it gets its whole time again */
		c->give_up = 0;
		/* fall through */
	default:
		errno = rc;
		tf_err_sys(err, "reading");
		rc = TF_EAGAIN;
	}
	tf_buf_free(&text);
	return rc;
}

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

/* The list is in the order of `next`. */
static void wait_for_writer(struct tf_fs_inbox *in, struct tf_fs_claim *c)
{
	struct tf_fs_claim *after = TAILQ_LAST(&in->incomplete, tf_fs_claims);

	c->delay = c->delay ? c->delay * 2 : REREAD_FIRST_MS;
	c->next = now_ms() + c->delay;
	if (!c->give_up)
		c->give_up = now_ms() + WRITER_GRACE_MS;
	if (c->next > c->give_up)
		c->next = c->give_up;
	while (after && after->next > c->next)
		after = TAILQ_PREV(after, tf_fs_claims, link);
	if (after)
		TAILQ_INSERT_AFTER(&in->incomplete, after, c, link);
	else
		TAILQ_INSERT_HEAD(&in->incomplete, c, link);
}

/* Read a claim that is on no list, and send it where it belongs. Returns the bytes read. */
static size_t take(struct tf_fs_inbox *in, struct tf_fs_claim *c)
{
	struct tf_kombu_file file;
	struct tf_err err;
	size_t len;
	int rc = read_claim(in, c, &file, &len, &err);

	if (rc == 0) {
		deliver(in, c, &file);
		tf_kombu_file_destroy(&file);
	} else if (rc == TF_EAGAIN && (!c->give_up || now_ms() < c->give_up)) {
		wait_for_writer(in, c);
	} else if (rc == TF_ENOTFOUND) {
		in->broken = tf_fs_spool_is_gone(in->spool);
		claim_free(c);
	} else {
		quarantine(in, c, &err);
	}
	return len;
}

static bool has_room(const struct tf_fs_consumer *c)
{
	return c->prefetch == 0 || c->unsettled < c->prefetch;
}

/* The first of the incomplete claims, off the list, if it is to be read again by now. */
static struct tf_fs_claim *pop_due(struct tf_fs_inbox *in)
{
	struct tf_fs_claim *c = TAILQ_FIRST(&in->incomplete);

	if (!c || c->next > now_ms())
		return NULL;
	TAILQ_REMOVE(&in->incomplete, c, link);
	TF_ASSERT(TAILQ_FIRST(&in->incomplete) != c);
	return c;
}

/* Incomplete claims take up no room while they wait, so there may be none for them now. */
static void reread(struct tf_fs_inbox *in)
{
	struct tf_fs_claim *c;
	int left = TURN_MESSAGES;

	while (left-- && !in->closed && !in->broken && (c = pop_due(in))) {
		if (has_room(c->consumer)) {
			take(in, c);
			continue;
		}
		tf_fs_spool_give_back(in->spool, c->message, false, max_file(in));
		tf_fs_inbox_add(in, c->message);
		claim_free(c);
	}
}

/* Come again when the first of the incomplete claims is due. */
static void plan_reread(struct tf_fs_inbox *in)
{
	struct tf_fs_claim *c = TAILQ_FIRST(&in->incomplete);
	uint64_t now = now_ms();

	if (c)
		tf_timer_start(in->reread, c->next > now ? c->next - now : 1, 0);
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
	struct tf_fs_claim *claim;
	char *message = tf_fs_backlog_pop(&c->backlog);
	int rc = tf_fs_spool_claim(in->spool, message);

	TAILQ_REMOVE(&in->consumers, c, link);
	TAILQ_INSERT_TAIL(&in->consumers, c, link);
	if (rc == 0) {
		claim = TF_NEW(struct tf_fs_claim);
		claim->message = message;
		claim->consumer = c;
		return take(in, claim);
	}
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
	size_t bytes = 0;
	int i;

	for (i = 0; (c = next_consumer(in)); i++) {
		if (i == TURN_MESSAGES || bytes > TURN_BYTES)
			return true;
		bytes += serve(in, c);
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
	finish_stuck(in);
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
	finish(in, c, how == TF_REQUEUE ? GIVE_BACK : REMOVE);
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

static void wake(void *arg)
{
	tf_post_wake(((struct tf_fs_inbox *)arg)->post);
}

void tf_fs_inbox_create(
	struct tf_fs_inbox *in, struct tf_transport *t, struct tf_loop *loop, struct tf_post *post)
{
	*in = (struct tf_fs_inbox){
		.transport = t, .post = post, .folder = -1, .processed = -1, .quarantine = -1};
	in->reread = tf_timer_new(loop, wake, in);
	in->by_queue = tf_map_new();
	TAILQ_INIT(&in->consumers);
	TAILQ_INIT(&in->incomplete);
	TAILQ_INIT(&in->stuck);
}

void tf_fs_inbox_attach(
	struct tf_fs_inbox *in, const char *path, int folder, struct tf_fs_spool *spool, int processed)
{
	in->path = path;
	in->folder = folder;
	in->spool = spool;
	in->processed = processed;
	in->broken = in->paused = false;
	tf_fs_inbox_list(in);
}

static void forget_each(void *arg, void *message)
{
	(void)arg;
	claim_free(message);
}

void tf_fs_inbox_detach(struct tf_fs_inbox *in)
{
	struct tf_fs_claim *claim;
	struct tf_fs_consumer *c;

	tf_tags_drain(&in->tags, forget_each, NULL);
	TAILQ_CONCAT(&in->incomplete, &in->stuck, link);
	while ((claim = TAILQ_FIRST(&in->incomplete))) {
		TAILQ_REMOVE(&in->incomplete, claim, link);
		claim_free(claim);
	}
	TAILQ_FOREACH(c, &in->consumers, link)
	{
		c->unsettled = 0;
		tf_fs_backlog_destroy(&c->backlog);
	}
	if (in->listing)
		closedir(in->listing);
	in->listing = NULL;
	if (in->quarantine >= 0)
		close(in->quarantine);
	in->quarantine = in->folder = -1;
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
		finish(l->in, c, REMOVE);
	} else if (now_ms() < l->end) {
		l->in->transport->stats.requeued++;
		finish(l->in, c, GIVE_BACK);
	} else { /* left for others to recover */
		claim_free(c);
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
	struct tf_fs_claim *c;

	in->closed = true;
	if (in->folder < 0)
		return;
	finish_stuck(in);
	tf_tags_drain(&in->tags, leave_claim, &l);
	while ((c = TAILQ_FIRST(&in->incomplete))) {
		TAILQ_REMOVE(&in->incomplete, c, link);
		tf_fs_spool_give_back(in->spool, c->message, false, max_file(in));
		claim_free(c);
	}
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
