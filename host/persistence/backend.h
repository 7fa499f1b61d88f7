/* Where logbooks are kept: one table of functions a kind. A save is one transaction, all of it or nothing, and is
 * durable as the configuration says when it returns. To add a kind: one .c with a struct tf_backend_ops, listed in
 * backend.c. Calls block; an engine makes few of them.
 *
 * A flow belongs to at most one engine at a time: whoever runs it holds its lock, which dies with the process. */
#ifndef TF_PERSISTENCE_BACKEND_H
#define TF_PERSISTENCE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "persistence/detail.h"

/* off: what the system has not written yet may be lost with it; normal: a power cut may cost the last commits, never
 * the file; full: a commit is on the disk. The death of the process costs nothing in any of them. */
enum tf_durability { TF_DURABILITY_NORMAL, TF_DURABILITY_FULL, TF_DURABILITY_OFF };

struct tf_backend_config {
	/* "memory"; "sqlite:///relative", "sqlite:////absolute", or the path of such a file;
	 * "postgresql://user:password@host:port/database" and what else libpq reads as a URL;
	 * "dir:///absolute" or the path of such a directory: only read. */
	const char *connection;
	enum tf_durability durability;
};

/* One transaction; borrowed. */
struct tf_save {
	const struct tf_book_detail *book; /* added or changed, or NULL */
	const struct tf_flow_detail *flow; /* added or changed, or NULL */
	const char *flow_uuid;             /* of the members below */
	const char *flow_state;            /* new state; NULL: as it was */
	const struct tf_atom_detail *atoms;
	size_t count, fresh; /* the first `fresh` are new; the others exist or are new */
};

struct tf_owner { /* of a flow's lock */
	int64_t pid;
	char host[65];
	char since[32];
};

struct tf_backend;
struct tf_backend_ops {
	const char *name;
	int (*open)(const char *place, const struct tf_backend_config *config, struct tf_backend **out,
		struct tf_err *err);
	void (*close)(struct tf_backend *b);
	int (*save)(struct tf_backend *b, const struct tf_save *s, struct tf_err *err);
	/* Visits get what they may keep or must free; the order is that of creation. NULL: any. A uuid may be
	 * the beginning of one. Atoms are those of a flow, or the one of that uuid. */
	int (*books)(struct tf_backend *b, const char *uuid, void (*visit)(void *, struct tf_book_detail *),
		void *arg, struct tf_err *err);
	int (*flows)(struct tf_backend *b, const char *book, const char *uuid,
		void (*visit)(void *, struct tf_flow_detail *), void *arg, struct tf_err *err);
	int (*atoms)(struct tf_backend *b, const char *flow, const char *uuid,
		void (*visit)(void *, struct tf_atom_detail *), void *arg, struct tf_err *err);
	/* Delete with everything below. TF_ENOTFOUND. */
	int (*remove_book)(struct tf_backend *b, const char *uuid, struct tf_err *err);
	int (*remove_flow)(struct tf_backend *b, const char *uuid, struct tf_err *err);
	/* TF_EAGAIN with a story that names the owner. */
	int (*lock)(struct tf_backend *b, const char *flow, struct tf_err *err);
	void (*unlock)(struct tf_backend *b, const char *flow);
	/* Whether somebody holds it, and who. */
	bool (*owner)(struct tf_backend *b, const char *flow, struct tf_owner *out);
};
struct tf_backend { /* a kind embeds it as its first member */
	const struct tf_backend_ops *ops;
	size_t references; /* of tf_backend_ref */
};

/* TF_EINVAL: no such kind; TF_EIO, TF_EAUTH, TF_EFORMAT: it cannot be used. */
int tf_backend_open(const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err);
struct tf_backend *tf_backend_ref(struct tf_backend *b);
/* Drops a reference, the first being tf_backend_open's; closed with the last. NULL allowed. */
void tf_backend_close(struct tf_backend *b);

/* Locks of flows as files in a directory that is made when it is first needed (owner.c). */
struct tf_owner_locks;
struct tf_owner_locks *tf_owner_locks_new(const char *dir);
void tf_owner_locks_delete(struct tf_owner_locks *l); /* lets go of all */
int tf_owner_lock(struct tf_owner_locks *l, const char *flow, struct tf_err *err);
void tf_owner_unlock(struct tf_owner_locks *l, const char *flow);
bool tf_owner_of(struct tf_owner_locks *l, const char *flow, struct tf_owner *out);

/* This process, from now on. */
void tf_owner_self(struct tf_owner *out);
/* Surely: a process of this host that is no more. */
bool tf_owner_is_dead(const struct tf_owner *owner);

extern const struct tf_backend_ops tf_backend_sqlite, tf_backend_postgresql, tf_backend_directory;

#endif
