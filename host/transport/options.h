/* transport_options: one JSON object, checked against the table of the back end that takes it.
 *
 * An option that the table does not list is refused by name: a misspelt folder must not turn
 * into a default. Options that kombu knows and we have no use for are listed as TF_OPTION_IGNORED,
 * so that one configuration serves both. */
#ifndef TF_TRANSPORT_OPTIONS_H
#define TF_TRANSPORT_OPTIONS_H

#include "base/err.h"
#include "base/value.h"

enum tf_option_kind {
	TF_OPTION_STRING,  /* char **: replaced by a new copy, the old one freed; never "" */
	TF_OPTION_BOOL,    /* bool *; true, false, 0 or 1 */
	TF_OPTION_SECONDS, /* double *; finite, greater than 0, at most a day */
	TF_OPTION_IGNORED, /* into is NULL; any value */
};

struct tf_option {
	const char *name; /* NULL ends the table */
	enum tf_option_kind kind;
	void *into; /* holds the default; left alone when the option is absent or null */
};

/* TF_EINVAL: there is no option of this name (a JSON string), but one that it may have been meant to be, or these. All names
 * have `prefix` before them. */
int tf_options_unknown(struct tf_err *err, const char *backend, const char *prefix, struct tf_json key,
	const char *const *names, size_t count);

/* Fill `table` from `options` (NULL: nothing given). TF_EINVAL names the option, what it must be,
 * and for an unknown one lists those of the table. `backend` is for the error's text. */
int tf_options_read(const char *backend, const struct tf_value *options, const struct tf_option *table,
	struct tf_err *err);

#endif
