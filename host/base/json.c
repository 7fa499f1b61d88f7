/* The cursor. All text here passed tf_json_validate, so finding the end of a value needs no
 * grammar: strings by their quotes, containers by counting brackets outside strings. */
#include "base/json.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_open(char c)
{
	return c == '[' || c == '{';
}

static bool is_close(char c)
{
	return c == ']' || c == '}';
}

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	return at;
}

/* at is the opening quote; returns past the closing one. A quote closes the string unless an odd
 * run of backslashes stands before it; each run is looked at once, so this stays linear. */
static const char *skip_string(const char *at, const char *end)
{
	const char *first = ++at;
	while ((at = memchr(at, '"', (size_t)(end - at)))) {
		const char *run = at;
		while (run > first && run[-1] == '\\')
			run--;
		at++;
		if ((at - 1 - run) % 2 == 0)
			return at;
		first = at;
	}
	return end;
}

static const char *skip_container(const char *at, const char *end)
{
	size_t depth = 0;
	while (at < end) {
		switch (*at) {
		case '"':
			at = skip_string(at, end);
			continue;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (--depth == 0)
				return at + 1;
			break;
		default:
			break;
		}
		at++;
	}
	return end;
}

static const char *skip_scalar(const char *at, const char *end)
{
	if (*at == '"')
		return skip_string(at, end);
	while (at < end && *at != ',' && !is_close(*at) && !is_space(*at))
		at++;
	return at;
}

/* A number token holds a letter or a point exactly when it is a real ("-Infinity" included). */
static enum tf_json_type number_type(struct tf_json v)
{
	for (size_t i = 1; i < v.len; i++) {
		if (v.text[i] < '0' || v.text[i] > '9')
			return TF_JSON_REAL;
	}
	return TF_JSON_INTEGER;
}

enum tf_json_type tf_json_type(struct tf_json v)
{
	TF_ASSERT(v.len > 0);
	switch (v.text[0]) {
	case '{':
		return TF_JSON_OBJECT;
	case '[':
		return TF_JSON_ARRAY;
	case '"':
		return TF_JSON_STRING;
	case 'n':
		return TF_JSON_NULL;
	case 't':
		return TF_JSON_TRUE;
	case 'f':
		return TF_JSON_FALSE;
	case 'N':
	case 'I':
		return TF_JSON_REAL;
	default:
		return number_type(v);
	}
}

const char *tf_json_type_name(enum tf_json_type t)
{
	static const char *const names[] = {
		[TF_JSON_NULL] = "null",
		[TF_JSON_TRUE] = "boolean",
		[TF_JSON_FALSE] = "boolean",
		[TF_JSON_INTEGER] = "integer",
		[TF_JSON_REAL] = "real",
		[TF_JSON_STRING] = "string",
		[TF_JSON_ARRAY] = "array",
		[TF_JSON_OBJECT] = "object",
	};
	return names[t];
}

struct tf_json_iter tf_json_iter(struct tf_json container)
{
	TF_ASSERT(container.len > 0);
	const char *end = container.text + container.len;
	char open = container.text[0];
	if (!is_open(open))
		return (struct tf_json_iter){.at = end, .end = end};
	return (struct tf_json_iter){.at = container.text + 1, .end = end - 1, .object = open == '{'};
}

bool tf_json_step(struct tf_json_iter *it, struct tf_json *key, struct tf_json *val)
{
	const char *at = it->at;
	while (at < it->end && (*at == ',' || is_space(*at)))
		at++;
	it->at = at;
	if (at >= it->end || is_close(*at))
		return false;
	struct tf_json k = {NULL, 0};
	if (it->object) {
		const char *past = skip_string(at, it->end);
		k = (struct tf_json){at, (size_t)(past - at)};
		at = skip_space(past, it->end) + 1; /* the colon */
		at = skip_space(at, it->end);
	}
	it->at = is_open(*at) ? at : skip_scalar(at, it->end);
	if (key)
		*key = k;
	*val = (struct tf_json){at, is_open(*at) ? 1 : (size_t)(it->at - at)};
	return true;
}

struct tf_json_iter tf_json_enter(const struct tf_json_iter *it)
{
	TF_ASSERT(it->at < it->end && is_open(*it->at));
	return (struct tf_json_iter){.at = it->at + 1, .end = it->end, .object = *it->at == '{'};
}

void tf_json_leave(struct tf_json_iter *it, const struct tf_json_iter *inner)
{
	TF_ASSERT(inner->at < it->end && is_close(*inner->at));
	it->at = inner->at + 1;
}

bool tf_json_next(struct tf_json_iter *it, struct tf_json *key, struct tf_json *val)
{
	struct tf_json v;
	if (!tf_json_step(it, key, &v))
		return false;
	if (is_open(*v.text)) {
		it->at = skip_container(v.text, it->end);
		v.len = (size_t)(it->at - v.text);
	}
	if (val)
		*val = v;
	return true;
}

bool tf_json_get(struct tf_json object, const char *name, struct tf_json *val)
{
	struct tf_json_iter it = tf_json_iter(object);
	struct tf_json key, member;
	bool found = false;
	while (it.object && tf_json_next(&it, &key, &member)) {
		if (!tf_json_string_is(key, name))
			continue;
		found = true;
		if (val)
			*val = member;
	}
	return found;
}

bool tf_json_at(struct tf_json array, size_t index, struct tf_json *val)
{
	struct tf_json_iter it = tf_json_iter(array);
	struct tf_json element;
	while (!it.object && tf_json_next(&it, NULL, &element)) {
		if (index--)
			continue;
		if (val)
			*val = element;
		return true;
	}
	return false;
}

size_t tf_json_count(struct tf_json container)
{
	struct tf_json_iter it = tf_json_iter(container);
	size_t n = 0;
	while (tf_json_next(&it, NULL, NULL))
		n++;
	return n;
}
