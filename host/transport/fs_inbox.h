/* The reading side of the filesystem transport: consumers of queues whose messages are files in one
 * data folder. Internal to filesystem.c, which owns the folder and calls tf_fs_inbox_work from its
 * post; messages are delivered from there alone.
 *
 * The folder is listed once, and again only when names are known to be missing: new ones arrive by
 * tf_fs_inbox_add. A message is claimed when its consumer has room for it, so that what this
 * process cannot take yet is left to others. */
#ifndef TF_TRANSPORT_FS_INBOX_H
#define TF_TRANSPORT_FS_INBOX_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "base/map.h"
#include "loop/loop.h"
#include "transport/fs_claims.h"
#include "transport/fs_spool.h"
#include "transport/tags.h"
#include "transport/transport.h"

struct tf_fs_inbox {
	struct tf_transport *transport; /* borrowed: its events, counters, limits */
	struct tf_post *post;           /* borrowed: another tf_fs_inbox_work is due */
	struct tf_timer *reread;        /* wakes the post when an incomplete file is to be read again */
	TAILQ_HEAD(, tf_fs_consumer) consumers; /* the next to be served first */
	struct tf_map *by_queue;                /* -> struct tf_fs_consumer */
	struct tf_tags tags;                    /* -> struct tf_fs_claim */
	struct tf_fs_claims claims;
	bool closed;
	bool broken; /* folder or spool vanished: to be detached */

	/* while attached */
	const char *path;          /* borrowed */
	int folder;                /* borrowed; -1: detached */
	struct tf_fs_spool *spool; /* borrowed */
	bool paused;               /* until the next poll: claiming fails */

	DIR *listing; /* in progress */
	bool list_wanted, list_unsure;
	struct timespec list_mtime;      /* of the folder when listed */
	uint64_t list_began, list_ended; /* ms */
};

void tf_fs_inbox_create(
	struct tf_fs_inbox *in, struct tf_transport *t, struct tf_loop *loop, struct tf_post *post);
/* All arguments are borrowed until detached. `processed`: as in struct tf_fs_claims. */
void tf_fs_inbox_attach(
	struct tf_fs_inbox *in, const char *path, int folder, struct tf_fs_spool *spool, int processed);
/* The folder is lost. Unsettled claims stay in the spool for whoever recovers it; tags are void. */
void tf_fs_inbox_detach(struct tf_fs_inbox *in);
/* Give back what is unsettled and remove what nobody else will read: the rest of a queue that is
 * named by a uuid, hence an engine's own. Gives up after `ms`. */
void tf_fs_inbox_close(struct tf_fs_inbox *in, unsigned ms);
/* Frees the parts; `closed` stays readable. */
void tf_fs_inbox_destroy(struct tf_fs_inbox *in);

int tf_fs_inbox_consume(struct tf_fs_inbox *in, const char *topic, unsigned prefetch, struct tf_err *err);
/* Another prefetch for a topic that is consumed. */
void tf_fs_inbox_limit(struct tf_fs_inbox *in, const char *topic, unsigned prefetch);
void tf_fs_inbox_settle(struct tf_fs_inbox *in, uint64_t tag, enum tf_settle how);

/* Every consumed topic with its queue. */
void tf_fs_inbox_each(
	struct tf_fs_inbox *in, void (*visit)(void *arg, const char *topic, const char *queue), void *arg);

/* A file of this name is complete. */
void tf_fs_inbox_add(struct tf_fs_inbox *in, const char *name);
/* Names got lost. */
void tf_fs_inbox_list(struct tf_fs_inbox *in);
/* Now and then: list the folder if it may have changed without a word. */
void tf_fs_inbox_poll(struct tf_fs_inbox *in);
/* One bounded turn of listing, claiming and delivering. Stops when a callback closed the transport. */
void tf_fs_inbox_work(struct tf_fs_inbox *in);

#endif
