/* Shared by storage.c (keeping) and storage_lookup.c (finding). */
#ifndef TF_ENGINE_STORAGE_INTERNAL_H
#define TF_ENGINE_STORAGE_INTERNAL_H

#include "base/map.h"
#include "engine/graph_internal.h"
#include "engine/storage.h"

struct tf_blamed {
	uint32_t atom;         /* or item; TF_NONE: not in the flow (any more) */
	struct tf_value *name; /* of such a one: JSON string; else NULL */
	struct tf_value *failure;
};
struct tf_attempt { /* one execution of a retry controller */
	struct tf_value *value;
	struct tf_blamed *failures; /* in order of arrival, each atom's first */
	size_t count, cap;
};
struct tf_history {
	struct tf_attempt *attempts;
	size_t count, cap;
};
#define TF_PROGRESS_UNSET (-1.0)
struct tf_detail {
	char uuid[TF_UUID_LEN + 1];
	int64_t round;
	double progress;           /* below 0: never told */
	struct tf_value *meta;     /* metadata: what is not a member of this struct; object or NULL */
	struct tf_value *injected; /* for this atom alone, not kept; object or NULL */
	struct tf_value *result, *failure, *revert_result, *revert_failure;
	/* Failures to report, which may outlive those above: of execute, of revert. */
	struct tf_value *reported[2];
	struct tf_history *history; /* of a retry that has executed */
};
struct tf_item_detail { /* of an item of a map */
	struct tf_detail detail;
	uint32_t map, index;
	enum tf_state state;
};
struct tf_transient {
	struct tf_value *value;
	bool first; /* before any kept value of the name */
};
#define TF_ITEM_CHUNK 1024u
struct tf_storage {
	const struct tf_graph *g;
	struct tf_scheduler *states;
	bool keep_failures;
	struct tf_detail *details;     /* by atom */
	struct tf_item_detail **items; /* in chunks: an item never moves */
	uint32_t item_count;
	struct tf_buf name;        /* of the item that was last asked for */
	struct tf_map *performers; /* uuid of an atom or item -> who performs its action; owned strings */
	struct tf_trace *trace;    /* NULL: nobody wants one */
	struct tf_map *store;      /* flow-wide values that are kept: name -> struct tf_value */
	struct tf_map *transients; /* those that are not: name -> struct tf_transient */
	uint32_t *failed;          /* atoms with reported[0] once; sorted when asked for */
	size_t failed_count, failed_cap;
	struct tf_value *failures; /* the object, or NULL if it has to be made */
};

static inline struct tf_item_detail *tf_storage_item_detail(const struct tf_storage *s, unsigned atom)
{
	uint32_t i = atom - s->g->atom_count;
	return &s->items[i / TF_ITEM_CHUNK][i % TF_ITEM_CHUNK];
}

static inline struct tf_detail *tf_storage_detail(const struct tf_storage *s, unsigned atom)
{
	return atom < s->g->atom_count ? &s->details[atom] : &tf_storage_item_detail(s, atom)->detail;
}

/* A new entry of the retry's history. References `value`; valid until the next. */
struct tf_attempt *tf_storage_add_attempt(struct tf_storage *s, unsigned retry, struct tf_value *value);
/* List a failure of execute or revert among those to report; NULL takes it off. */
void tf_storage_report(struct tf_storage *s, unsigned atom, bool revert, struct tf_value *failure);
/* --- storage_args.c --- */
void tf_storage_free_given(struct tf_storage *s);
/* Flow-wide values of a name, the one that was there first first: how many, borrowed. */
size_t tf_storage_given(const struct tf_storage *s, const char *name, struct tf_value *out[2]);
/* What was injected for the atom alone. *value may be NULL. */
bool tf_storage_own(const struct tf_storage *s, unsigned atom, const char *symbol, struct tf_json *value);

/* --- storage_lookup.c --- */
/* The value for one parameter of an atom. New reference; NULL with TF_ENOTFOUND. */
struct tf_value *tf_storage_argument(
	struct tf_storage *s, unsigned atom, const struct tf_binding *b, struct tf_err *err);

/* `"name": value` into an object being written, with the comma before it. */
void tf_storage_write_member(struct tf_buf *b, const char *name, struct tf_value *value);

#endif
