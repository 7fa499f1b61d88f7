/* The private folder of one transport inside a data folder: what it claimed and has not settled, and
 * what it is writing.
 *
 *   <data folder>/.tfhost-spool/<random>/lock       held by flock while the process lives
 *                                       <n>.part    a message being written, or the file of one that is done with, to
 *                                                   be written anew: that is cheaper than to remove and create
 *                                       <ms>_<uuid>.<queue>.taken   a claimed message
 *
 * A message changes hands by rename alone, so it is in one place at any instant, and a second
 * claimer finds nothing. The kernel drops the lock of a dead process; who then gets it returns that
 * one's claims to the data folder under their old names (PROTOCOL.md 12.6). Process ids would collide
 * between hosts that share a folder; random names do not. No name here contains ".msg".
 *
 *   <data folder>/.tfhost-spool/.open-<queue>       a queue of one reader, ours, that has not been closed: the reader lives, or
 *                                                   died and may come back for it */
#ifndef TF_TRANSPORT_FS_SPOOL_H
#define TF_TRANSPORT_FS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

#define TF_FS_SPARES 1024

struct tf_fs_spool {
	char name[TF_UUID_LEN + 1];
	int data; /* the data folder, borrowed */
	int all;  /* .tfhost-spool */
	int own;  /* our folder in it */
	int lock;
	uint64_t parts; /* numbers used for <n>.part */
	uint64_t spares[TF_FS_SPARES];
	unsigned spare_count; /* in `spares`: numbers of files to be written anew */
	struct stat made;     /* of a file that we created */
};

#define TF_FS_SPOOL_INIT ((struct tf_fs_spool){.data = -1, .all = -1, .own = -1, .lock = -1})

/* `path` is the data folder's, for errors. */
int tf_fs_spool_create(struct tf_fs_spool *s, int data, const char *path, struct tf_err *err);
/* Closes, and removes the folder when it is empty; what is in it belongs to whoever recovers it. */
void tf_fs_spool_destroy(struct tf_fs_spool *s);
/* Whether our folder was removed under us. */
bool tf_fs_spool_is_gone(const struct tf_fs_spool *s);

/* The functions below return an errno value. `message` is a message's name in the data folder. */

/* ENOENT: somebody else has it (or our folder is gone). */
int tf_fs_spool_claim(struct tf_fs_spool *s, const char *message);
/* Append the content of a claim, as tf_fs_folder_read does. */
int tf_fs_spool_read(struct tf_fs_spool *s, const char *message, size_t max, struct tf_buf *out);
/* The claim is done with. */
int tf_fs_spool_remove(struct tf_fs_spool *s, const char *message);
/* Move the claim into another folder under this name; copies it if that is on another disk. */
int tf_fs_spool_move(struct tf_fs_spool *s, const char *message, int folder, const char *name, size_t max);
/* Put it back under its name, marked as redelivered if `mark` and its content allows that. */
int tf_fs_spool_give_back(struct tf_fs_spool *s, const char *message, bool mark, size_t max);
/* Put a new file into the data folder: written aside, then renamed. */
int tf_fs_spool_publish(struct tf_fs_spool *s, const char *message, const struct tf_buf *content, bool sync);

/* From now on somebody reads `queue`, a private one, and what is sent there will be read; or nobody will ever again. */
int tf_fs_spool_open_queue(struct tf_fs_spool *s, const char *queue);
void tf_fs_spool_close_queue(struct tf_fs_spool *s, const char *queue);
/* Also if that cannot be told. */
bool tf_fs_spool_is_open(const struct tf_fs_spool *s, const char *queue);

/* Return the claims of dead processes, at most `budget`; returns how many, so that at `budget` the
 * caller comes again soon. */
unsigned tf_fs_spool_recover(struct tf_fs_spool *s, unsigned budget, size_t max);

#endif
