/* The validator: one pass, no recursion, no allocation. */
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What is open is one bit a level, so the deepest limit a caller may ask for is fixed. */
enum { DEPTH_CAP = TF_JSON_DEPTH_CAP };

struct check {
	const char *start, *at, *end;
	unsigned depth, max_depth;
	struct tf_err *err;
	unsigned char is_object[DEPTH_CAP / 8];
};

/* Length of the valid UTF-8 sequence at s, 0 if it is none (RFC 3629 table). s < end. */
static size_t utf8_char(const unsigned char *s, const unsigned char *end)
{
	unsigned c = s[0];
	if (c < 0x80)
		return 1;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || (size_t)(end - s) < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xf0 && s[1] < 0x90)) /* overlong */
		return 0;
	if ((c == 0xed && s[1] > 0x9f) || (c == 0xf4 && s[1] > 0x8f)) /* surrogate, past U+10FFFF */
		return 0;
	return n;
}

size_t tf_utf8_valid_len(const char *s, size_t len)
{
	const unsigned char *at = (const unsigned char *)s, *end = at + len;
	while (at < end) {
		uint64_t eight; /* most text is ASCII: take it by the word */
		while (end - at >= (ptrdiff_t)sizeof eight) {
			memcpy(&eight, at, sizeof eight);
			if (eight & UINT64_C(0x8080808080808080))
				break;
			at += sizeof eight;
		}
		if (at == end)
			break;
		size_t n = utf8_char(at, end);
		if (!n)
			break;
		at += n;
	}
	return (size_t)(at - (const unsigned char *)s);
}

static int fail(struct check *c, const char *expected)
{
	char found[32];
	unsigned char b = c->at < c->end ? (unsigned char)*c->at : 0;
	if (c->at >= c->end)
		snprintf(found, sizeof found, "the end of the text");
	else if (b > 0x20 && b < 0x7f)
		snprintf(found, sizeof found, "'%c'", b);
	else
		snprintf(found, sizeof found, "byte 0x%02x", b);
	return tf_err_set(c->err, TF_EFORMAT, "JSON: expected %s at byte %zu, found %s", expected,
		(size_t)(c->at - c->start), found);
}

static void skip_space(struct check *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

static bool take(struct check *c, char wanted)
{
	if (c->at >= c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool at_digit(const struct check *c)
{
	return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static int check_escape(struct check *c)
{
	c->at++; /* the backslash */
	if (c->at >= c->end || !*c->at || !strchr("\"\\/bfnrtu", *c->at))
		return fail(c, "one of \"\\/bfnrtu after a backslash");
	if (*c->at++ != 'u')
		return 0;
	for (int i = 0; i < 4; i++, c->at++) {
		if (c->at >= c->end || !isxdigit((unsigned char)*c->at))
			return fail(c, "four hexadecimal digits after \\u");
	}
	return 0;
}

static int check_string(struct check *c)
{
	c->at++; /* the quote */
	while (c->at < c->end) {
		unsigned char b = (unsigned char)*c->at;
		if (b == '"') {
			c->at++;
			return 0;
		}
		if (b == '\\') {
			int rc = check_escape(c);
			if (rc)
				return rc;
		} else if (b < 0x20) {
			return fail(c, "control characters to be escaped in a string");
		} else if (b < 0x80) {
			c->at++;
		} else {
			size_t n = utf8_char((const unsigned char *)c->at, (const unsigned char *)c->end);
			if (!n)
				return fail(c, "valid UTF-8");
			c->at += n;
		}
	}
	return fail(c, "'\"' to end a string");
}

static int check_word(struct check *c, const char *word)
{
	for (const char *w = word; *w; w++) {
		if (!take(c, *w))
			return fail(c, word);
	}
	return 0;
}

static int check_digits(struct check *c, const char *expected)
{
	if (!at_digit(c))
		return fail(c, expected);
	while (at_digit(c))
		c->at++;
	return 0;
}

static int check_number(struct check *c)
{
	int rc;
	if (take(c, '-') && c->at < c->end && *c->at == 'I')
		return check_word(c, "Infinity");
	if (take(c, '0')) {
		if (at_digit(c))
			return fail(c, "no digit after a leading zero");
	} else if ((rc = check_digits(c, "a digit"))) {
		return rc;
	}
	if (take(c, '.') && (rc = check_digits(c, "a digit after the decimal point")))
		return rc;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		return check_digits(c, "a digit in the exponent");
	}
	return 0;
}

static int check_scalar(struct check *c)
{
	switch (c->at < c->end ? *c->at : '\0') {
	case '"':
		return check_string(c);
	case 'n':
		return check_word(c, "null");
	case 't':
		return check_word(c, "true");
	case 'f':
		return check_word(c, "false");
	case 'N':
		return check_word(c, "NaN");
	case 'I':
		return check_word(c, "Infinity");
	default:
		if (at_digit(c) || (c->at < c->end && *c->at == '-'))
			return check_number(c);
		return fail(c, "a value");
	}
}

static int open_container(struct check *c, bool object)
{
	if (c->depth == c->max_depth)
		return tf_err_set(c->err, TF_ELIMIT, "JSON: nested deeper than %u levels at byte %zu",
			c->max_depth, (size_t)(c->at - c->start));
	unsigned char bit = (unsigned char)(1u << c->depth % 8);
	unsigned char *byte = &c->is_object[c->depth / 8];
	*byte = object ? *byte | bit : *byte & (unsigned char)~bit;
	c->depth++;
	c->at++;
	return 0;
}

static bool in_object(const struct check *c)
{
	return c->is_object[(c->depth - 1) / 8] >> (c->depth - 1) % 8 & 1;
}

/* A key and its colon; what follows is a value. */
static int check_key(struct check *c, const char *expected)
{
	skip_space(c);
	if (c->at >= c->end || *c->at != '"')
		return fail(c, expected);
	int rc = check_string(c);
	if (rc)
		return rc;
	skip_space(c);
	return take(c, ':') ? 0 : fail(c, "':' after a key");
}

/* The start of a value: a whole scalar or empty container (then *whole), or the opening of a
 * container up to where its first value starts. */
static int check_value(struct check *c, bool *whole)
{
	int rc;
	skip_space(c);
	char b = c->at < c->end ? *c->at : '\0';
	*whole = b != '{' && b != '[';
	if (*whole)
		return check_scalar(c);
	if ((rc = open_container(c, b == '{')))
		return rc;
	skip_space(c);
	if (take(c, b == '{' ? '}' : ']')) {
		c->depth--;
		*whole = true;
		return 0;
	}
	return b == '{' ? check_key(c, "a key or '}'") : 0;
}

/* After a value: closes what ends here; stops before the next value, or when nothing is open. */
static int check_after(struct check *c)
{
	while (c->depth) {
		bool object = in_object(c);
		skip_space(c);
		if (take(c, ','))
			return object ? check_key(c, "a key") : 0;
		if (!take(c, object ? '}' : ']'))
			return fail(c, object ? "',' or '}'" : "',' or ']'");
		c->depth--;
	}
	return 0;
}

int tf_json_validate(
	const char *text, size_t len, unsigned max_depth, struct tf_json *root, struct tf_err *err)
{
	struct check c = {.start = text, .at = text, .end = text + len, .err = err};
	c.max_depth = max_depth ? max_depth : TF_JSON_MAX_DEPTH;
	if (c.max_depth > DEPTH_CAP)
		c.max_depth = DEPTH_CAP;
	skip_space(&c);
	const char *first = c.at;
	do {
		bool whole;
		int rc = check_value(&c, &whole);
		if (!rc && whole)
			rc = check_after(&c);
		if (rc)
			return rc;
	} while (c.depth);
	const char *past = c.at;
	skip_space(&c);
	if (c.at != c.end)
		return fail(&c, "nothing after the value");
	if (root)
		*root = (struct tf_json){first, (size_t)(past - first)};
	return 0;
}
