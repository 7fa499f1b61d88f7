/* What a worker has promised to engines that do not watch over it (Python's), on disk: a worker that is killed can go on
 * with it when it is started again.
 *
 * One file for each worker, named by its uuid, in a directory for each topic; locked while its worker lives. It has a record
 * for each event, and only grows, until nothing in it is open any more or most of it is settled. What is written outlives
 * the process at once, and the machine from tf_diary_acknowledge on. Files are closed to other users, as they have
 * arguments of tasks in them. Plain calls that may block for as long as the disk does.
 */
#ifndef TF_WBE_DIARY_H
#define TF_WBE_DIARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"

struct tf_diary;

/* A request that has begun, and what has become of it. */
struct tf_diary_entry {
	char *reply_to, *correlation_id;
	char *body; /* of the REQUEST */
	size_t body_len;
	bool acknowledged; /* no broker has it any more */
	bool failed;
	char *final; /* body of the final message; NULL: it has not ended */
	size_t final_len;
};

/* Nothing is made before the first entry. `owner`: the worker's uuid. Copies both. */
struct tf_diary *tf_diary_new(const char *dir, const char *owner);
/* The file goes, unless something is open in it. NULL allowed. */
void tf_diary_delete(struct tf_diary *d);
/* A new entry, of which only the request is looked at; its number (above 0) in *id. */
int tf_diary_take(struct tf_diary *d, const struct tf_diary_entry *e, uint64_t *id, struct tf_err *err);
/* From here on no broker has it: it is on disk when this returns 0. */
int tf_diary_acknowledge(struct tf_diary *d, uint64_t id, struct tf_err *err);
/* It has ended. */
int tf_diary_outcome(
	struct tf_diary *d, uint64_t id, bool failed, const char *final, size_t len, struct tf_err *err);
/* It is delivered, or nobody's concern any more. */
void tf_diary_settle(struct tf_diary *d, uint64_t id);
size_t tf_diary_open_count(const struct tf_diary *d);

/* The diary of a worker that is dead. Nobody else can have it while we do. */
struct tf_orphan {
	char owner[TF_UUID_LEN + 1];
	char *path; /* owned */
	int fd;
	struct tf_diary_entry *entries; /* owned; what is open, oldest first */
	size_t count;
};

/* The next orphan in `dir`, with something open in it (others are removed); NULL: none. */
struct tf_orphan *tf_orphan_next(const char *dir);
/* `settled`: remove the file; otherwise somebody may find it again. */
void tf_orphan_delete(struct tf_orphan *o, bool settled);

#endif
