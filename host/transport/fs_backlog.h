/* What is known to wait in a data folder for one queue: names, in the order they were sent.
 *
 * A name here is a hint: another consumer may have taken the file since. The list is bounded; when
 * it had to leave names out, it says so, and the folder is to be listed again once it is empty. */
#ifndef TF_TRANSPORT_FS_BACKLOG_H
#define TF_TRANSPORT_FS_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TF_FS_BACKLOG_MAX 65536u

struct tf_fs_backlog {
	struct tf_fs_backlog_entry *entries; /* owned */
	size_t head, count, cap;             /* the names are entries[head..head+count) */
	bool missed;                         /* names were left out */
	bool filling;
};

#define TF_FS_BACKLOG_INIT ((struct tf_fs_backlog){0})

/* Add one name, sent at `ms`, at its place: by ms as a number, then by name. A name that is known
 * already is not added again. Fast for the usual case, the latest. */
void tf_fs_backlog_add(struct tf_fs_backlog *b, uint64_t ms, const char *name);
/* The first name, to be freed by the caller; NULL: empty. Not while filling. */
char *tf_fs_backlog_pop(struct tf_fs_backlog *b);
/* Between these two, names may be added in any order at a low price. Clears `missed`. */
void tf_fs_backlog_fill(struct tf_fs_backlog *b);
void tf_fs_backlog_filled(struct tf_fs_backlog *b);
void tf_fs_backlog_destroy(struct tf_fs_backlog *b);

#endif
