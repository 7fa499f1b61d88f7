/* The writing side of the filesystem transport: messages on their way into one data folder.
 * Internal to filesystem.c, which calls tf_fs_outbox_work from its post. */
#ifndef TF_TRANSPORT_FS_OUTBOX_H
#define TF_TRANSPORT_FS_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "loop/loop.h"
#include "transport/fs_spool.h"
#include "transport/transport.h"

TAILQ_HEAD(tf_fs_outbox_items, tf_fs_outbox_item);

struct tf_fs_outbox {
	struct tf_transport *transport; /* borrowed: its events, counters */
	struct tf_post *post;           /* borrowed: another tf_fs_outbox_work is due */
	struct tf_timer *retry;
	struct tf_fs_outbox_items waiting, done;
	uint64_t last_ms; /* of the last file name */
	bool sync;        /* wait for the disk */
	bool closed;
	bool broken; /* folder or spool vanished: to be detached; nothing is lost */

	/* while attached */
	const char *path;          /* borrowed */
	struct tf_fs_spool *spool; /* borrowed; NULL: detached */
};

void tf_fs_outbox_create(struct tf_fs_outbox *out, struct tf_transport *t, struct tf_loop *loop,
	struct tf_post *post, bool sync);
void tf_fs_outbox_attach(struct tf_fs_outbox *out, const char *path, struct tf_fs_spool *spool);
void tf_fs_outbox_detach(struct tf_fs_outbox *out);  /* what waits goes on waiting */
void tf_fs_outbox_destroy(struct tf_fs_outbox *out); /* `closed` stays readable */

/* Encode and append. `ours`: the queue is one that its reader opens and closes (fs_spool.h); if it is closed, the message is
 * returned. TF_EINVAL: see tf_kombu_queue, tf_kombu_file_write. */
int tf_fs_outbox_add(
	struct tf_fs_outbox *out, const struct tf_message *m, bool ours, uint64_t id, struct tf_err *err);
/* Write one bounded batch in order, then report its outcome. */
void tf_fs_outbox_work(struct tf_fs_outbox *out);
/* Write what waits, for `ms` at most, and report nothing. */
void tf_fs_outbox_close(struct tf_fs_outbox *out, unsigned ms);

#endif
