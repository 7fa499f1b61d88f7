#include "protocol/failure.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define VERSION 1

const char *const tf_types_request_timeout[] = {"taskflow.exceptions.RequestTimeout",
	"taskflow.exceptions.ExecutionFailure", "taskflow.exceptions.TaskFlowException", "Exception", NULL};
const char *const tf_types_time_limit[] = {
	"tfhost.TimeLimitExceeded", "tfhost.LimitExceeded", "RuntimeError", "Exception", NULL};
const char *const tf_types_memory_limit[] = {
	"tfhost.MemoryLimitExceeded", "tfhost.LimitExceeded", "RuntimeError", "Exception", NULL};
const char *const tf_types_out_of_memory[] = {"tfhost.OutOfMemory", "tfhost.MemoryLimitExceeded",
	"tfhost.LimitExceeded", "tfhost.WorkerLost", "RuntimeError", "Exception", NULL};
const char *const tf_types_size_limit[] = {
	"tfhost.SizeLimitExceeded", "tfhost.LimitExceeded", "RuntimeError", "Exception", NULL};
const char *const tf_types_cancelled[] = {"tfhost.Cancelled", "Exception", NULL};
const char *const tf_types_worker_lost[] = {"tfhost.WorkerLost", "RuntimeError", "Exception", NULL};
const char *const tf_types_lua_error[] = {"tfhost.LuaError", "RuntimeError", "Exception", NULL};
const char *const tf_types_key_error[] = {"KeyError", "LookupError", "Exception", NULL};
const char *const tf_types_type_error[] = {"TypeError", "Exception", NULL};
const char *const tf_types_value_error[] = {"ValueError", "Exception", NULL};
const char *const tf_types_os_error[] = {"OSError", "Exception", NULL};
const char *const tf_types_not_found[] = {
	"taskflow.exceptions.NotFound", "taskflow.exceptions.TaskFlowException", "Exception", NULL};

/* The members of a failure dict, in the order in which Python writes them. */
#define FIELDS(X) X(exception_str) X(traceback_str) X(exc_type_names) X(version) X(exc_args) X(causes)
enum field {
#define X(name) F_##name,
	FIELDS(X)
#undef X
		FIELD_COUNT
};
static const char *const field_names[] = {
#define X(name) #name,
	FIELDS(X)
#undef X
};

struct fields {
	struct tf_json f[FIELD_COUNT]; /* .text NULL: absent */
	struct tf_json extra;          /* key of a member that does not belong, .text NULL: none */
};

static void read_fields(struct tf_json dict, struct fields *out)
{
	struct tf_json key, val;
	struct tf_json_iter it = tf_json_iter(dict);

	memset(out, 0, sizeof(*out));
	while (tf_json_next(&it, &key, &val)) {
		int i = 0;
		while (i < FIELD_COUNT && !tf_json_string_is(key, field_names[i]))
			i++;
		if (i < FIELD_COUNT)
			out->f[i] = val;
		else
			out->extra = key;
	}
}

static int type_of(struct tf_json v)
{
	return v.text ? (int)tf_json_type(v) : -1;
}

static const char *type_name(struct tf_json v)
{
	return v.text ? tf_json_type_name(tf_json_type(v)) : "nothing";
}

/* Strings with the bytes that are not UTF-8 replaced. */
static void write_text(struct tf_buf *out, const char *s)
{
	size_t len = strlen(s);
	size_t good = tf_utf8_valid_len(s, len);
	if (good == len) {
		tf_json_write_string(out, s, len);
		return;
	}
	char *copy = tf_strndup(s, len);
	while (good < len) {
		copy[good] = '?';
		good += tf_utf8_valid_len(copy + good, len - good);
	}
	tf_json_write_string(out, copy, len);
	free(copy);
}

static void write_json(struct tf_buf *out, struct tf_json v)
{
	tf_buf_append(out, v.text, v.len);
}

struct tf_value *tf_failure_value(const struct tf_failure *f)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, "{\"exception_str\": ");
	write_text(&b, f->exception_str);
	tf_buf_puts(&b, ", \"traceback_str\": ");
	write_text(&b, f->traceback_str ? f->traceback_str : "");
	tf_buf_puts(&b, ", \"exc_type_names\": [");
	for (size_t i = 0; f->exc_type_names[i]; i++) {
		if (i)
			tf_buf_puts(&b, ", ");
		write_text(&b, f->exc_type_names[i]);
	}
	tf_buf_printf(&b, "], \"version\": %d, \"exc_args\": ", VERSION);
	if (f->exc_args) {
		write_json(&b, tf_value_json(f->exc_args));
	} else {
		tf_buf_putc(&b, '[');
		write_text(&b, f->exception_str);
		tf_buf_putc(&b, ']');
	}
	tf_buf_puts(&b, ", \"causes\": ");
	if (f->causes)
		write_json(&b, tf_value_json(f->causes));
	else
		tf_buf_puts(&b, "[]");
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

struct tf_value *tf_failure_format(const char *const *types, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	TF_ASSERT(n >= 0);
	struct tf_value *v =
		tf_failure_value(&(struct tf_failure){.exception_str = text, .exc_type_names = types});
	free(text);
	return v;
}

struct tf_value *tf_failure_size(const char *task, const char *what, size_t size, uint64_t limit)
{
	if (!limit || size <= limit)
		return NULL;
	return tf_failure_format(tf_types_size_limit,
		"task '%s': its %s of %zu bytes (as JSON) is beyond the limit of %" PRIu64 " bytes", task,
		what, size, limit);
}

/* An integer by JSON schema (1.0 counts), at least 0. */
static bool is_version_number(struct tf_json v)
{
	double d;
	return tf_json_double(v, &d) && isfinite(d) && d >= 0 && floor(d) == d;
}

/* exc_type_names: strings, at least one, the last a root type. */
static int check_types(struct tf_json names, struct tf_err *err)
{
	struct tf_json v, last = {0};
	size_t i = 0;

	if (type_of(names) != TF_JSON_ARRAY)
		return tf_err_set(
			err, TF_EFORMAT, "exc_type_names: expected an array, found %s", type_name(names));
	struct tf_json_iter it = tf_json_iter(names);
	for (; tf_json_next(&it, NULL, &v); i++) {
		if (tf_json_type(v) != TF_JSON_STRING)
			return tf_err_set(err, TF_EFORMAT, "exc_type_names[%zu]: expected a string, found %s",
				i, type_name(v));
		last = v;
	}
	if (!i)
		return tf_err_set(err, TF_EFORMAT, "exc_type_names: expected at least one name");
	if (!tf_json_string_is(last, "Exception") && !tf_json_string_is(last, "BaseException"))
		return tf_err_set(err, TF_EFORMAT,
			"exc_type_names: the last name is %.*s, expected \"Exception\" or \"BaseException\"",
			(int)(last.len < 80 ? last.len : 80), last.text);
	return 0;
}

int tf_failure_check_schema(struct tf_json dict, struct tf_err *err)
{
	struct fields d;

	if (tf_json_type(dict) != TF_JSON_OBJECT)
		return tf_err_set(err, TF_EFORMAT, "expected a failure object, found %s", type_name(dict));
	read_fields(dict, &d);
	for (int i = F_exception_str; i <= F_traceback_str; i++) {
		if (type_of(d.f[i]) != TF_JSON_STRING)
			return tf_err_set(err, TF_EFORMAT, "%s: expected a string, found %s", field_names[i],
				type_name(d.f[i]));
	}
	if (check_types(d.f[F_exc_type_names], err) < 0)
		return TF_EFORMAT;
	if (d.f[F_version].text && !is_version_number(d.f[F_version]))
		return tf_err_set(err, TF_EFORMAT, "version: expected an integer of at least 0, found %.*s",
			(int)(d.f[F_version].len < 40 ? d.f[F_version].len : 40), d.f[F_version].text);
	for (int i = F_exc_args; i <= F_causes; i++) {
		if (d.f[i].text && type_of(d.f[i]) != TF_JSON_ARRAY)
			return tf_err_set(err, TF_EFORMAT, "%s: expected an array, found %s", field_names[i],
				type_name(d.f[i]));
	}
	if (d.f[F_causes].text) {
		struct tf_json v;
		struct tf_json_iter it = tf_json_iter(d.f[F_causes]);
		for (size_t i = 0; tf_json_next(&it, NULL, &v); i++) {
			if (tf_failure_check_schema(v, err) < 0)
				return tf_err_prefix(err, "causes[%zu]", i);
		}
	}
	return 0;
}

typedef const char *const *types;

static types fail(struct tf_err *err, types t, const char *field, struct tf_json v)
{
	tf_err_set(err, TF_EFORMAT, "%s: a Python peer cannot rebuild a failure with %s here", field,
		type_name(v));
	return t;
}

/* What Python iterates over (tuple(x)): strings, lists, keys of dicts. */
static bool is_iterable(struct tf_json v)
{
	int t = type_of(v);
	return t == TF_JSON_STRING || t == TF_JSON_ARRAY || t == TF_JSON_OBJECT;
}

static types check_causes(struct tf_json causes, struct tf_err *err)
{
	struct tf_json v;

	if (!causes.text || type_of(causes) == TF_JSON_NULL)
		return NULL;
	if (!is_iterable(causes))
		return fail(err, tf_types_type_error, "causes", causes);
	if (type_of(causes) != TF_JSON_ARRAY) {
		/* Python takes each character or key for a failure: none is. */
		bool empty = type_of(causes) == TF_JSON_STRING ? causes.len == 2 : tf_json_count(causes) == 0;
		return empty ? NULL : fail(err, tf_types_value_error, "causes", causes);
	}
	struct tf_json_iter it = tf_json_iter(causes);
	for (size_t i = 0; tf_json_next(&it, NULL, &v); i++) {
		types t = tf_failure_reconstruct_error(v, err);
		if (t) {
			tf_err_prefix(err, "causes[%zu]", i);
			return t;
		}
	}
	return NULL;
}

const char *const *tf_failure_reconstruct_error(struct tf_json dict, struct tf_err *err)
{
	struct fields d;
	double version;

	if (tf_json_type(dict) != TF_JSON_OBJECT) {
		tf_err_set(err, TF_EFORMAT, "expected a failure object, found %s", type_name(dict));
		return is_iterable(dict) ? tf_types_value_error : tf_types_type_error;
	}
	read_fields(dict, &d);
	struct tf_json v = d.f[F_version];
	/* In Python True equals 1. */
	if (type_of(v) != TF_JSON_TRUE && !(v.text && tf_json_double(v, &version) && version == VERSION)) {
		tf_err_set(err, TF_EFORMAT, "Invalid dict version of failure object: %.*s",
			(int)(v.len < 40 ? v.len : 40), v.text ? v.text : "None");
		return tf_types_value_error;
	}
	types t = check_causes(d.f[F_causes], err);
	if (t)
		return t;
	if (d.f[F_exc_args].text && !is_iterable(d.f[F_exc_args]))
		return fail(err, tf_types_type_error, "exc_args", d.f[F_exc_args]);
	if (!d.f[F_exception_str].text)
		return fail(err, tf_types_key_error, "exception_str", d.f[F_exception_str]);
	if (d.f[F_exc_type_names].text && !is_iterable(d.f[F_exc_type_names]))
		return fail(err, tf_types_type_error, "exc_type_names", d.f[F_exc_type_names]);
	if (d.extra.text) {
		tf_err_set(err, TF_EFORMAT, "unexpected member %.*s",
			(int)(d.extra.len < 80 ? d.extra.len : 80), d.extra.text);
		return tf_types_type_error;
	}
	return NULL;
}

int tf_failure_check_reconstruct(struct tf_json dict, struct tf_err *err)
{
	return tf_failure_reconstruct_error(dict, err) ? TF_EFORMAT : 0;
}

/* The type names that are strings, ended by a root type. */
static void write_types(struct tf_buf *out, struct tf_json names)
{
	struct tf_json v = {0}, last = {0};
	tf_buf_putc(out, '[');
	if (type_of(names) == TF_JSON_ARRAY) {
		struct tf_json_iter it = tf_json_iter(names);
		while (tf_json_next(&it, NULL, &v)) {
			if (tf_json_type(v) != TF_JSON_STRING)
				continue;
			if (last.text)
				tf_buf_puts(out, ", ");
			write_json(out, v);
			last = v;
		}
	}
	if (!last.text ||
		(!tf_json_string_is(last, "Exception") && !tf_json_string_is(last, "BaseException")))
		tf_buf_puts(out, last.text ? ", \"Exception\"" : "\"Exception\"");
	tf_buf_putc(out, ']');
}

static void write_normal(struct tf_buf *out, struct tf_json dict)
{
	struct fields d;
	struct tf_json v;

	read_fields(dict, &d);
	for (int i = F_exception_str; i <= F_traceback_str; i++) {
		tf_buf_printf(out, "%s\"%s\": ", i ? ", " : "{", field_names[i]);
		if (type_of(d.f[i]) == TF_JSON_STRING)
			write_json(out, d.f[i]);
		else
			tf_buf_puts(out, "\"\"");
	}
	tf_buf_puts(out, ", \"exc_type_names\": ");
	write_types(out, d.f[F_exc_type_names]);
	tf_buf_printf(out, ", \"version\": %d, \"exc_args\": ", VERSION);
	if (type_of(d.f[F_exc_args]) == TF_JSON_ARRAY)
		write_json(out, d.f[F_exc_args]);
	else
		tf_buf_puts(out, "[]");
	tf_buf_puts(out, ", \"causes\": [");
	if (type_of(d.f[F_causes]) == TF_JSON_ARRAY) {
		struct tf_json_iter it = tf_json_iter(d.f[F_causes]);
		for (size_t i = 0; tf_json_next(&it, NULL, &v); i++) {
			if (i)
				tf_buf_puts(out, ", ");
			write_normal(out, v);
		}
	}
	tf_buf_puts(out, "]}");
}

/* All six members there, and what both steps accept, down through the causes. */
static bool is_normal(struct tf_json dict)
{
	struct fields d;
	struct tf_json v;

	read_fields(dict, &d);
	for (int i = 0; i < FIELD_COUNT; i++) {
		if (!d.f[i].text)
			return false;
	}
	struct tf_json_iter it = tf_json_iter(d.f[F_causes]);
	while (tf_json_next(&it, NULL, &v)) {
		if (!is_normal(v))
			return false;
	}
	return true;
}

struct tf_value *tf_failure_normalise(struct tf_json dict)
{
	struct tf_buf b = TF_BUF_INIT;
	if (tf_failure_check_schema(dict, NULL) == 0 && is_normal(dict))
		return tf_value_from(dict);
	write_normal(&b, dict);
	return tf_value_take(&b);
}

static void append_string(struct tf_buf *out, struct tf_json v, const char *otherwise)
{
	size_t before = out->len;
	if (type_of(v) != TF_JSON_STRING || tf_json_unescape(v, out, NULL) < 0) {
		out->len = before;
		tf_buf_puts(out, otherwise);
	}
}

char *tf_failure_summary(struct tf_json dict)
{
	struct tf_buf b = TF_BUF_INIT;
	struct fields d;
	struct tf_json first = {0};

	read_fields(dict, &d);
	if (type_of(d.f[F_exc_type_names]) == TF_JSON_ARRAY)
		tf_json_at(d.f[F_exc_type_names], 0, &first);
	append_string(&b, first, "Failure");
	tf_buf_puts(&b, ": ");
	append_string(&b, d.f[F_exception_str], "(no text)");
	return tf_buf_steal(&b);
}

bool tf_failure_is(struct tf_json dict, const char *name)
{
	struct tf_json names, v;
	if (!tf_json_get(dict, "exc_type_names", &names) || tf_json_type(names) != TF_JSON_ARRAY)
		return false;
	struct tf_json_iter it = tf_json_iter(names);
	while (tf_json_next(&it, NULL, &v)) {
		if (tf_json_type(v) == TF_JSON_STRING && tf_json_string_is(v, name))
			return true;
	}
	return false;
}
