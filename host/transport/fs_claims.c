#include "transport/fs_claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/fs_folder.h"

enum {
	WRITER_GRACE_MS = 2000, /* what a Python writer gets to finish a file (PROTOCOL.md 12.6) */
	REREAD_FIRST_MS = 10,   /* doubles */
	FILE_EXTRA = 1 << 20,   /* what a file has besides the body */
};

#define warn(cs, ...) tf_fs_warnings_add(&(cs)->warnings, (cs)->path, __VA_ARGS__)

static uint64_t now_ms(void)
{
	return tf_clock_ms(&tf_clock_real);
}

static size_t max_file(const struct tf_fs_claims *cs)
{
	return cs->transport->max_message / 3 * 4 + FILE_EXTRA;
}

struct tf_fs_claim *tf_fs_claim_new(char *message, struct tf_fs_consumer *consumer)
{
	struct tf_fs_claim *c = TF_NEW(struct tf_fs_claim);

	c->message = message;
	c->consumer = consumer;
	return c;
}

void tf_fs_claim_free(struct tf_fs_claim *c)
{
	free(c->message);
	free(c);
}

/* The first of a list, off it; or NULL. */
static struct tf_fs_claim *pop(struct tf_fs_claim_list *list)
{
	struct tf_fs_claim *c = TAILQ_FIRST(list);

	if (c) {
		TAILQ_REMOVE(list, c, link);
		TF_ASSERT(TAILQ_FIRST(list) != c);
	}
	return c;
}

/* ---- reading ---------------------------------------------------------------------------------- */

int tf_fs_claims_read(struct tf_fs_claims *cs, struct tf_fs_claim *c, struct tf_kombu_file *out, size_t *len,
	struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT;
	int rc = tf_fs_spool_read(cs->spool, c->message, max_file(cs), &text);

	*len = text.len;
	switch (rc) {
	case 0:
		rc = tf_kombu_file_read(text.data, text.len, cs->transport->max_message, out, err);
		break;
	case EINVAL:
		rc = tf_err_set(err, TF_EFORMAT, "no regular file");
		break;
	case EFBIG:
		rc = tf_err_set(err, TF_ELIMIT, "the file has more than %zu bytes", max_file(cs));
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

bool tf_fs_claims_is_late(const struct tf_fs_claim *c)
{
	return c->give_up && now_ms() >= c->give_up;
}

/* The list is in the order of `next`. */
void tf_fs_claims_wait(struct tf_fs_claims *cs, struct tf_fs_claim *c)
{
	struct tf_fs_claim *after = TAILQ_LAST(&cs->incomplete, tf_fs_claim_list);

	c->delay = c->delay ? c->delay * 2 : REREAD_FIRST_MS;
	c->next = now_ms() + c->delay;
	if (!c->give_up)
		c->give_up = now_ms() + WRITER_GRACE_MS;
	if (c->next > c->give_up)
		c->next = c->give_up;
	while (after && after->next > c->next)
		after = TAILQ_PREV(after, tf_fs_claim_list, link);
	if (after)
		TAILQ_INSERT_AFTER(&cs->incomplete, after, c, link);
	else
		TAILQ_INSERT_HEAD(&cs->incomplete, c, link);
}

struct tf_fs_claim *tf_fs_claims_pop_due(struct tf_fs_claims *cs)
{
	const struct tf_fs_claim *c = TAILQ_FIRST(&cs->incomplete);

	return c && c->next <= now_ms() ? pop(&cs->incomplete) : NULL;
}

uint64_t tf_fs_claims_due(const struct tf_fs_claims *cs)
{
	const struct tf_fs_claim *c = TAILQ_FIRST(&cs->incomplete);
	uint64_t now = now_ms();

	if (!c)
		return 0;
	return c->next > now ? c->next - now : 1;
}

/* ---- the end of a claim ----------------------------------------------------------------------- */

/* Out of sight of everybody, but kept for a look. */
static int set_aside(struct tf_fs_claims *cs, struct tf_fs_claim *c)
{
	char other[TF_UUID_LEN + 1];
	struct tf_err err;
	int rc;

	if (cs->quarantine < 0)
		cs->quarantine = tf_fs_folder_open_in(cs->folder, cs->path, TF_FS_QUARANTINE, &err);
	if (cs->quarantine < 0) {
		warn(cs, "%s", err.message);
		return EIO;
	}
	rc = tf_fs_spool_move(cs->spool, c->message, cs->quarantine, c->message, max_file(cs));
	if (rc == EEXIST || rc == ENOTEMPTY || rc == EISDIR || rc == ENOTDIR) { /* a folder of that name */
		tf_uuid(other);
		rc = tf_fs_spool_move(cs->spool, c->message, cs->quarantine, other, max_file(cs));
	}
	if (rc == ENOENT && tf_fs_folder_is_gone(cs->quarantine)) { /* emptied by hand; made anew next time */
		close(cs->quarantine);
		cs->quarantine = -1;
		rc = ESTALE;
	}
	return rc;
}

static int remove_claim(struct tf_fs_claims *cs, struct tf_fs_claim *c)
{
	int rc;

	if (cs->processed >= 0) {
		rc = tf_fs_spool_move(cs->spool, c->message, cs->processed, c->message, max_file(cs));
		if (rc == 0)
			return 0;
		/* a lost copy is better than a task that runs again */
		warn(cs, "%s: cannot be kept in processed_folder: %s", c->message, strerror(rc));
	}
	return tf_fs_spool_remove(cs->spool, c->message);
}

void tf_fs_claims_finish(struct tf_fs_claims *cs, struct tf_fs_claim *c, enum tf_fs_fate fate)
{
	static const char *const what[] = {"removing", "putting back", "setting aside"};
	int rc = fate == TF_FS_REMOVE      ? remove_claim(cs, c)
		 : fate == TF_FS_GIVE_BACK ? tf_fs_spool_give_back(cs->spool, c->message, true, max_file(cs))
					   : set_aside(cs, c);

	if (rc && rc != ENOENT) {
		warn(cs, "%s %s/%s: %s", what[fate], cs->path, c->message, strerror(rc));
		c->fate = fate;
		TAILQ_INSERT_TAIL(&cs->stuck, c, link);
		return;
	}
	if (fate == TF_FS_GIVE_BACK)
		cs->returned(cs->arg, c->message);
	tf_fs_claim_free(c);
}

void tf_fs_claims_retry(struct tf_fs_claims *cs)
{
	struct tf_fs_claim_list again = TAILQ_HEAD_INITIALIZER(again);
	struct tf_fs_claim *c;

	TAILQ_CONCAT(&again, &cs->stuck, link);
	while ((c = pop(&again)))
		tf_fs_claims_finish(cs, c, c->fate);
}

void tf_fs_claims_refuse(struct tf_fs_claims *cs, struct tf_fs_claim *c, const struct tf_err *why)
{
	if (why->code == TF_ELIMIT)
		cs->transport->stats.oversized++;
	else
		cs->transport->stats.malformed++;
	warn(cs, "%s: not a message: %s; moved to %s/%s", c->message, why->message, cs->path,
		TF_FS_QUARANTINE);
	tf_fs_claims_finish(cs, c, TF_FS_SET_ASIDE);
}

static void undo(struct tf_fs_claims *cs, struct tf_fs_claim *c)
{
	tf_fs_spool_give_back(cs->spool, c->message, false, max_file(cs));
}

void tf_fs_claims_undo(struct tf_fs_claims *cs, struct tf_fs_claim *c)
{
	undo(cs, c);
	cs->returned(cs->arg, c->message);
	tf_fs_claim_free(c);
}

void tf_fs_claims_undo_incomplete(struct tf_fs_claims *cs)
{
	struct tf_fs_claim *c;

	while ((c = pop(&cs->incomplete))) {
		undo(cs, c);
		tf_fs_claim_free(c);
	}
}

/* ---- beginning and end ------------------------------------------------------------------------ */

void tf_fs_claims_create(struct tf_fs_claims *cs, struct tf_transport *t,
	void (*returned)(void *arg, const char *message), void *arg)
{
	*cs = (struct tf_fs_claims){.transport = t,
		.returned = returned,
		.arg = arg,
		.folder = -1,
		.processed = -1,
		.quarantine = -1};
	TAILQ_INIT(&cs->incomplete);
	TAILQ_INIT(&cs->stuck);
}

void tf_fs_claims_attach(
	struct tf_fs_claims *cs, const char *path, int folder, struct tf_fs_spool *spool, int processed)
{
	cs->path = path;
	cs->folder = folder;
	cs->spool = spool;
	cs->processed = processed;
}

void tf_fs_claims_detach(struct tf_fs_claims *cs)
{
	struct tf_fs_claim *c;

	TAILQ_CONCAT(&cs->incomplete, &cs->stuck, link);
	while ((c = pop(&cs->incomplete)))
		tf_fs_claim_free(c);
	if (cs->quarantine >= 0)
		close(cs->quarantine);
	cs->quarantine = cs->folder = -1;
}
