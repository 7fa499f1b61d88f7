/* JSON text as Python's json module writes and reads it (spec PROTOCOL.md 2.4):
 * validation, a cursor into validated text, and writers.
 *
 * Accepted beyond RFC 8259: the tokens NaN, Infinity, -Infinity. Integers may have any
 * number of digits. Input must be UTF-8 (no surrogates, no overlong forms); \uXXXX
 * escapes may name lone surrogates, as Python writes them. Validation is iterative and
 * allocates nothing; finding the end of a value is linear in its length. The locale of the
 * process does not matter.
 */
#ifndef TF_BASE_JSON_H
#define TF_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TF_JSON_MAX_DEPTH 128  /* default nesting limit of containers */
#define TF_JSON_DEPTH_CAP 4096 /* the highest limit a caller can ask for */

enum tf_json_type {
	TF_JSON_NULL,
	TF_JSON_TRUE,
	TF_JSON_FALSE,
	TF_JSON_INTEGER, /* no fraction, no exponent */
	TF_JSON_REAL,    /* fraction or exponent, or NaN, Infinity, -Infinity */
	TF_JSON_STRING,
	TF_JSON_ARRAY,
	TF_JSON_OBJECT,
};

/* One value inside validated text, without surrounding white space. Borrowed. */
struct tf_json {
	const char *text;
	size_t len;
};

/* Check that text[0..len) is exactly one JSON value (white space around it allowed).
 * On success *root (unless NULL) is that value. Errors (TF_EFORMAT, TF_ELIMIT) name the
 * byte offset and what was expected. max_depth 0 means TF_JSON_MAX_DEPTH; above
 * TF_JSON_DEPTH_CAP it is the cap. */
int tf_json_validate(
	const char *text, size_t len, unsigned max_depth, struct tf_json *root, struct tf_err *err);

/* Everything below requires validated text. */
enum tf_json_type tf_json_type(struct tf_json v);
const char *tf_json_type_name(enum tf_json_type t); /* "null", "boolean", "integer", ... */

/* Walk the members of an array or an object:
 *   struct tf_json_iter it = tf_json_iter(v);
 *   while (tf_json_next(&it, &key, &val)) ...
 * key is the raw string token (with quotes), .text NULL for arrays. Linear in total. */
struct tf_json_iter {
	const char *at, *end;
	bool object;
};
struct tf_json_iter tf_json_iter(struct tf_json container);
bool tf_json_next(struct tf_json_iter *it, struct tf_json *key, struct tf_json *val);

/* The same for a walk that goes into everything. tf_json_next looks for the end of each container,
 * so such a walk reads the innermost bytes once a level; this one reads every byte once:
 *   while (tf_json_step(&it, &key, &val)) {
 *           if (tf_json_type(val) is an array or object) {
 *                   struct tf_json_iter inner = tf_json_enter(&it);
 *                   ... the same with inner, until it returns false ...
 *                   tf_json_leave(&it, &inner);
 *           }
 *   }
 * Of a container, val is only the opening bracket. */
bool tf_json_step(struct tf_json_iter *it, struct tf_json *key, struct tf_json *val);
struct tf_json_iter tf_json_enter(const struct tf_json_iter *it);
void tf_json_leave(struct tf_json_iter *it, const struct tf_json_iter *inner);

/* Member of an object by (unescaped) name; the last of duplicates wins, as in Python.
 * False if absent or not an object. *val may be NULL. */
bool tf_json_get(struct tf_json object, const char *name, struct tf_json *val);
/* Element of an array, 0-based. False if out of range or not an array. */
bool tf_json_at(struct tf_json array, size_t index, struct tf_json *val);
size_t tf_json_count(struct tf_json container); /* members; 0 for scalars */

/* String token -> UTF-8 bytes appended to out. A lone surrogate cannot be written as
 * UTF-8: TF_EFORMAT. The bytes may contain NUL. */
int tf_json_unescape(struct tf_json string, struct tf_buf *out, struct tf_err *err);
/* Whether the token, unescaped, equals the bytes of `s`. */
bool tf_json_string_is(struct tf_json string, const char *s);
/* Order of two string tokens by their unescaped bytes: <0, 0, >0. Spelling does not matter. */
int tf_json_string_compare(struct tf_json a, struct tf_json b);
/* New NUL-terminated copy (free()), or NULL with err: not a string, embedded NUL, lone surrogate. */
char *tf_json_strdup(struct tf_json string, struct tf_err *err);
/* Integer token to int64. False if it is no integer or does not fit. */
bool tf_json_int64(struct tf_json v, int64_t *out);
/* Number token (integer or real) to double, infinite if too large. False for other types. */
bool tf_json_double(struct tf_json v, double *out);

/* Structural equality: key order and spelling of escapes do not matter; 1 and 1.0 differ;
 * reals are compared as doubles (NaN equals NaN), integers by digits (-0 is 0). Of duplicate
 * members the last counts. */
bool tf_json_equal(struct tf_json a, struct tf_json b);

/* Writers, in Python's spelling: ", " and ": " are the caller's business.
 * String: quotes, every non-ASCII character as \uXXXX. Wants valid UTF-8: check foreign text with
 * tf_utf8_valid_len first, since a byte that is not becomes U+FFFD here. */
void tf_json_write_string(struct tf_buf *out, const char *s, size_t len);
/* A member of an object with text of this process: `"name": "text"`; at what is no UTF-8 the text is cut. */
void tf_json_write_text(struct tf_buf *out, const char *name, const char *text);
/* Shortest text that reads back equal, always with a '.', an exponent, or NaN/Infinity: a real. */
void tf_json_write_real(struct tf_buf *out, double d);
/* First byte that is not part of valid UTF-8 in s[0..len), or len. */
size_t tf_utf8_valid_len(const char *s, size_t len);

#endif
