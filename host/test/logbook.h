/* Details for the tests of backends: built from literals, read back, compared. Every function fails the test on error. */
#ifndef TF_TEST_LOGBOOK_H
#define TF_TEST_LOGBOOK_H

#include "persistence/backend.h"

/* Open, or fail. */
struct tf_backend *logbook_open(const char *connection);
/* The code of an attempt to open; the story goes to *err. */
int logbook_try(const char *connection, struct tf_err *err);

/* Save a book `book` and in it a flow `flow`, both with their uuid as name. */
void logbook_flow(struct tf_backend *b, const char *book, const char *flow);

/* An atom of literals; values are JSON text or NULL. Free with tf_atom_detail_free. */
struct tf_atom_detail logbook_atom(
	const char *uuid, const char *state, const char *results, const char *failure);
/* Save it, new or not, with the flow's state (NULL: as it was). */
int logbook_save(struct tf_backend *b, const char *flow, const char *flow_state,
	const struct tf_atom_detail *atoms, size_t count, size_t fresh, struct tf_err *err);

/* What is kept. */
struct logbook_atoms {
	struct tf_atom_detail *items;
	size_t count;
};
struct logbook_atoms logbook_atoms(struct tf_backend *b, const char *flow);
void logbook_atoms_free(struct logbook_atoms *a);
/* The only flow whose uuid begins so; free with tf_flow_detail_free. Its uuid is NULL if there is none. */
struct tf_flow_detail logbook_find(struct tf_backend *b, const char *uuid);
size_t logbook_count_books(struct tf_backend *b);
size_t logbook_count_flows(struct tf_backend *b, const char *book);

/* Text of a value, "none" for NULL. */
const char *logbook_text(const struct tf_value *v);

#endif
