#include "transport/fs_outbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "transport/fs_folder.h"
#include "transport/fs_turn.h"
#include "transport/kombu_file.h"

enum { RETRY_MS = 100 }; /* when descriptors or memory ran out */

struct tf_fs_outbox_item {
	TAILQ_ENTRY(tf_fs_outbox_item) link;
	char *queue; /* owned */
	struct tf_buf content;
	uint64_t id;
	struct tf_err *err; /* owned; NULL while all is well */
	bool ours, returned;
};

static void item_free(struct tf_fs_outbox_item *i)
{
	free(i->queue);
	tf_buf_free(&i->content);
	free(i->err);
	free(i);
}

static void wake(void *arg)
{
	tf_post_wake(((struct tf_fs_outbox *)arg)->post);
}

void tf_fs_outbox_create(struct tf_fs_outbox *out, struct tf_transport *t, struct tf_loop *loop,
	struct tf_post *post, bool sync)
{
	*out = (struct tf_fs_outbox){.transport = t, .post = post, .sync = sync};
	out->retry = tf_timer_new(loop, wake, out);
	TAILQ_INIT(&out->waiting);
	TAILQ_INIT(&out->done);
}

void tf_fs_outbox_attach(struct tf_fs_outbox *out, const char *path, struct tf_fs_spool *spool)
{
	out->path = path;
	out->spool = spool;
	out->broken = false;
	tf_post_wake(out->post);
}

void tf_fs_outbox_detach(struct tf_fs_outbox *out)
{
	out->spool = NULL;
	tf_timer_stop(out->retry);
}

int tf_fs_outbox_add(
	struct tf_fs_outbox *out, const struct tf_message *m, bool ours, uint64_t id, struct tf_err *err)
{
	struct tf_fs_outbox_item *i = TF_NEW(struct tf_fs_outbox_item);
	char tag[TF_UUID_LEN + 1];
	struct tf_message sent = *m;
	int rc = TF_EINVAL;

	sent.redelivered = false;
	tf_uuid(tag);
	i->id = id;
	i->ours = ours;
	i->queue = tf_kombu_queue(out->transport->exchange, m->topic, err);
	if (i->queue)
		rc = tf_kombu_file_write(&i->content, &sent, out->transport->exchange, tag, err);
	if (rc < 0) {
		item_free(i);
		return rc;
	}
	out->transport->queued++;
	TAILQ_INSERT_TAIL(&out->waiting, i, link);
	tf_post_wake(out->post);
	return 0;
}

/* Names sort in sending order: readers know no other. */
static uint64_t next_ms(struct tf_fs_outbox *out)
{
	uint64_t now = tf_clock_ms(&tf_clock_real); /* CLOCK_MONOTONIC, as Python's */

	out->last_ms = now > out->last_ms ? now : out->last_ms + 1;
	return out->last_ms;
}

/* 0, also when the message failed for good: then its `err` says why. Otherwise it is to be tried
 * again, with an errno value. */
static int write_item(struct tf_fs_outbox *out, struct tf_fs_outbox_item *i)
{
	char uuid[TF_UUID_LEN + 1];
	char *name;
	int rc;

	tf_uuid(uuid);
	name = tf_kombu_name_make(next_ms(out), uuid, i->queue);
	rc = tf_fs_spool_publish(out->spool, name, &i->content, out->sync);
	if (rc == ENOENT && (tf_fs_spool_is_gone(out->spool) || tf_fs_folder_is_gone(out->spool->data))) {
		out->broken = true;
	} else if (rc && rc != EMFILE && rc != ENFILE && rc != ENOMEM) {
		i->err = TF_NEW(struct tf_err);
		errno = rc;
		tf_err_sys(i->err, "writing message %s/%s", out->path, name);
		rc = 0;
	}
	/* Looked at afterwards: a reader that closes its queue now removes what is there, or we do. It may have read it, too. */
	if (!rc && !i->err && i->ours && !tf_fs_spool_is_open(out->spool, i->queue))
		i->returned = unlinkat(out->spool->data, name, 0) == 0;
	free(name);
	return rc;
}

/* Waiting to done, in order. Returns false when there is nothing (more) to do now. */
static bool write_batch(struct tf_fs_outbox *out)
{
	struct tf_fs_outbox_item *i;
	struct tf_fs_turn turn = tf_fs_turn_begin();
	int rc = 0;

	while (!tf_fs_turn_is_over(&turn) && (i = TAILQ_FIRST(&out->waiting))) {
		tf_fs_turn_count(&turn, i->content.len);
		rc = write_item(out, i);
		if (rc)
			break;
		tf_buf_free(&i->content);
		TAILQ_REMOVE(&out->waiting, i, link);
		TAILQ_INSERT_TAIL(&out->done, i, link);
	}
	if (out->sync && !TAILQ_EMPTY(&out->done))
		fsync(out->spool->data);
	if (rc && !out->broken)
		tf_timer_start(out->retry, RETRY_MS, 0);
	return rc == 0 && !TAILQ_EMPTY(&out->waiting);
}

static void report(struct tf_fs_outbox *out)
{
	struct tf_transport *t = out->transport;
	struct tf_fs_outbox_item *i;

	while (!out->closed && (i = TAILQ_FIRST(&out->done))) {
		TAILQ_REMOVE(&out->done, i, link);
		t->queued--;
		if (i->returned)
			t->stats.returned++;
		else if (!i->err)
			t->stats.published++;
		if (i->id && t->events.published)
			t->events.published(t->arg, i->id,
				i->err        ? TF_PUBLISH_FAILED
				: i->returned ? TF_RETURNED
					      : TF_PUBLISHED,
				i->err);
		item_free(i);
	}
}

void tf_fs_outbox_work(struct tf_fs_outbox *out)
{
	if (!out->spool || out->broken || tf_timer_active(out->retry))
		return;
	if (write_batch(out))
		tf_post_wake(out->post);
	report(out);
}

void tf_fs_outbox_close(struct tf_fs_outbox *out, unsigned ms)
{
	uint64_t end = tf_clock_ms(&tf_clock_real) + ms;

	out->closed = true;
	while (out->spool && !out->broken && write_batch(out) && tf_clock_ms(&tf_clock_real) < end)
		;
	tf_fs_outbox_detach(out);
}

static void drop(struct tf_fs_outbox_items *items)
{
	struct tf_fs_outbox_item *i;

	while ((i = TAILQ_FIRST(items))) {
		TAILQ_REMOVE(items, i, link);
		item_free(i);
	}
}

void tf_fs_outbox_destroy(struct tf_fs_outbox *out)
{
	drop(&out->waiting);
	drop(&out->done);
	tf_timer_delete(out->retry);
	out->retry = NULL;
}
