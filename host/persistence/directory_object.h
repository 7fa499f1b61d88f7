/* The JSON objects of TaskFlow's path-based backends (ENGINE.md 14.2) as details. Pure. */
#ifndef TF_PERSISTENCE_DIRECTORY_OBJECT_H
#define TF_PERSISTENCE_DIRECTORY_OBJECT_H

#include "persistence/detail.h"

/* Into *out, the caller's to free; its parent stays NULL. TF_EFORMAT names the member that is wrong, and *out holds
 * nothing then. */
int tf_directory_book(struct tf_json object, struct tf_book_detail *out, struct tf_err *err);
int tf_directory_flow(struct tf_json object, struct tf_flow_detail *out, struct tf_err *err);
int tf_directory_atom(struct tf_json object, struct tf_atom_detail *out, struct tf_err *err);

#endif
