#include "transport/options.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

static const double DAY = 86400;
enum { OPTIONS_MAX = 64 };

static int refuse(
	struct tf_err *err, const char *backend, const char *name, const char *must, struct tf_json value)
{
	return tf_err_set(err, TF_EINVAL, "transport_options of %s: %s must be %s, not %.*s", backend, name,
		must, (int)(value.len < 80 ? value.len : 80), value.text);
}

static int read_string(
	char **into, const char *backend, const char *name, struct tf_json value, struct tf_err *err)
{
	char *s;

	if (tf_json_type(value) != TF_JSON_STRING)
		return refuse(err, backend, name, "a string", value);
	s = tf_json_strdup(value, err);
	if (!s)
		return refuse(err, backend, name, "text without NUL", value);
	if (!*s) {
		free(s);
		return refuse(err, backend, name, "a string that is not empty", value);
	}
	free(*into);
	*into = s;
	return 0;
}

static int read_bool(
	bool *into, const char *backend, const char *name, struct tf_json value, struct tf_err *err)
{
	int64_t i;

	switch (tf_json_type(value)) {
	case TF_JSON_TRUE:
	case TF_JSON_FALSE:
		*into = tf_json_type(value) == TF_JSON_TRUE;
		return 0;
	default: /* configurations written for Python use 0 and 1, too */
		if (!tf_json_int64(value, &i) || (i != 0 && i != 1))
			return refuse(err, backend, name, "true or false", value);
		*into = i == 1;
		return 0;
	}
}

static int read_seconds(
	double *into, const char *backend, const char *name, struct tf_json value, struct tf_err *err)
{
	double d;

	if (!tf_json_double(value, &d) || !isfinite(d) || d <= 0 || d > DAY)
		return refuse(err, backend, name, "a number of seconds, above 0 and at most a day", value);
	*into = d;
	return 0;
}

static int read_one(const struct tf_option *o, const char *backend, struct tf_json value, struct tf_err *err)
{
	if (tf_json_type(value) == TF_JSON_NULL) /* what None means in a Python configuration */
		return 0;
	switch (o->kind) {
	case TF_OPTION_STRING:
		return read_string(o->into, backend, o->name, value, err);
	case TF_OPTION_BOOL:
		return read_bool(o->into, backend, o->name, value, err);
	case TF_OPTION_SECONDS:
		return read_seconds(o->into, backend, o->name, value, err);
	case TF_OPTION_IGNORED:
		break;
	}
	return 0;
}

int tf_options_unknown(struct tf_err *err, const char *backend, const char *prefix, struct tf_json key,
	const char *const *names, size_t count)
{
	struct tf_buf known = TF_BUF_INIT;
	char *word = tf_json_strdup(key, NULL);
	const char *near = word ? tf_nearest(word, names, count) : NULL;

	if (near) {
		tf_buf_printf(&known, ", did you mean \"%s%s\"?", prefix, near);
	} else {
		tf_buf_puts(&known, " (known: ");
		for (size_t i = 0; i < count; i++)
			tf_buf_printf(&known, "%s%s%s", i ? ", " : "", prefix, names[i]);
		tf_buf_puts(&known, count ? ")" : "none)");
	}
	tf_err_set(err, TF_EINVAL, "transport_options of %s: unknown option \"%s%s\"%s", backend, prefix,
		word ? word : "?", known.data);
	free(word);
	tf_buf_free(&known);
	return TF_EINVAL;
}

static int unknown(struct tf_err *err, const char *backend, const struct tf_option *table, struct tf_json key)
{
	const char *names[OPTIONS_MAX];
	size_t count = 0;

	for (; table[count].name && count < OPTIONS_MAX; count++)
		names[count] = table[count].name;
	return tf_options_unknown(err, backend, "", key, names, count);
}

int tf_options_read(const char *backend, const struct tf_value *options, const struct tf_option *table,
	struct tf_err *err)
{
	struct tf_json_iter it;
	struct tf_json key, value, root;
	const struct tf_option *o;
	int rc;

	if (!options)
		return 0;
	root = tf_value_json(options);
	if (tf_json_type(root) == TF_JSON_NULL)
		return 0;
	/* An empty table of a script may arrive as an empty list. */
	if (tf_json_type(root) == TF_JSON_ARRAY && tf_json_count(root) == 0)
		return 0;
	if (tf_json_type(root) != TF_JSON_OBJECT)
		return tf_err_set(err, TF_EINVAL, "transport_options must be an object, not %s",
			tf_json_type_name(tf_json_type(root)));
	it = tf_json_iter(root);
	while (tf_json_next(&it, &key, &value)) {
		for (o = table; o->name && !tf_json_string_is(key, o->name); o++)
			;
		if (!o->name)
			return unknown(err, backend, table, key);
		rc = read_one(o, backend, value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
