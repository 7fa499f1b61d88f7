/* Our JSON against json-c, another hand's parser, on random documents.
 *
 * TFHOST_TEST_SEED repeats a run. The parsers differ where json-c 0.16 is lenient even in strict
 * mode; each such class is listed in `lenient` below with a check, independent of our validator,
 * that the document is of that class. Anything else is a failure. */
#include "base/json.h"

#include <iconv.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "test/cmocka_all.h"

static uint64_t seed, random_state;

/* xorshift64*: the same sequence everywhere. */
static unsigned pick(unsigned bound)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (unsigned)((random_state * 2685821657736338717u) >> 33) % bound;
}

#define PICK(list) (list)[pick(sizeof(list) / sizeof *(list))]

static void put_space(struct tf_buf *out)
{
	static const char *const spaces[] = {"", "", "", " ", "\n", "\t\r ", "  "};
	tf_buf_puts(out, PICK(spaces));
}

static void put_string(struct tf_buf *out)
{
	static const char *const parts[] = {
		"a",
		"b",
		"0",
		"{",
		"]",
		",",
		"/",
		"\\\"",
		"\\\\",
		"\\/",
		"\\b",
		"\\f",
		"\\n",
		"\\r",
		"\\t",
		"\\u0041",
		"\\u00e9",
		"\\u20AC",
		"\\ud83d\\udc27",
		"\xc3\xa9",
		"\xe4\xb8\xad",
		"\xf0\x9f\x90\xa7",
		"\x7f",
		"''",
	};
	tf_buf_putc(out, '"');
	for (unsigned n = pick(6); n > 0; n--)
		tf_buf_puts(out, PICK(parts));
	tf_buf_putc(out, '"');
}

static void put_number(struct tf_buf *out)
{
	static const char *const wholes[] = {
		"0",
		"-0",
		"1",
		"-7",
		"42",
		"9223372036854775807",
		"-9223372036854775808",
		"9223372036854775808",
		"18446744073709551615",
		"18446744073709551616",
		"-9223372036854775809",
		"12345678901234567890123",
	};
	static const char *const fractions[] = {
		"", "", "", ".0", ".5", ".1000000000000000055", ".999999999999999999"};
	static const char *const exponents[] = {"", "", "", "e3", "E+2", "e-7", "e00", "e309", "e-330"};
	tf_buf_puts(out, PICK(wholes));
	tf_buf_puts(out, PICK(fractions));
	tf_buf_puts(out, PICK(exponents));
}

static void put_value(struct tf_buf *out, unsigned depth);

static void put_members(struct tf_buf *out, unsigned depth, bool object)
{
	tf_buf_putc(out, object ? '{' : '[');
	put_space(out);
	for (unsigned i = 0, n = pick(5); i < n; i++) {
		if (i)
			tf_buf_putc(out, ',');
		put_space(out);
		if (object) {
			put_string(out);
			put_space(out);
			tf_buf_putc(out, ':');
		}
		put_space(out);
		put_value(out, depth - 1);
		put_space(out);
	}
	tf_buf_putc(out, object ? '}' : ']');
}

static void put_value(struct tf_buf *out, unsigned depth)
{
	static const char *const words[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};
	switch (pick(depth ? 6 : 3)) {
	case 0:
		tf_buf_puts(out, PICK(words));
		break;
	case 1:
		put_string(out);
		break;
	case 2:
		put_number(out);
		break;
	default:
		put_members(out, depth, pick(2));
		break;
	}
}

/* One to three bytes changed, dropped or added. */
static void damage(struct tf_buf *doc)
{
	static const char bytes[] = "\"\\/{}[]:,0123.-+eEuINtfn \n\x1f\x7f\x80\xbf\xc0\xe0\xed\xf0\xf4\xff";
	for (unsigned n = 1 + pick(3); n > 0 && doc->len > 0; n--) {
		size_t at = pick((unsigned)doc->len);
		char byte = bytes[pick(sizeof bytes - 1)];
		switch (pick(3)) {
		case 0:
			doc->data[at] = byte;
			break;
		case 1:
			doc->len--;
			memmove(doc->data + at, doc->data + at + 1, doc->len - at + 1);
			break;
		default:
			tf_buf_putc(doc, 0);
			memmove(doc->data + at + 1, doc->data + at, doc->len - 1 - at);
			doc->data[at] = byte;
			break;
		}
	}
}

static bool json_c_parse(const char *text, size_t len, struct json_object **tree)
{
	struct json_tokener *tok = json_tokener_new_ex(TF_JSON_MAX_DEPTH);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*tree = json_tokener_parse_ex(tok, text, (int)len + 1); /* with the NUL: the text is complete */
	bool ok = json_tokener_get_error(tok) == json_tokener_success;
	json_tokener_free(tok);
	return ok;
}

/* ---- where json-c is lenient ---- */

static bool not_utf8(const char *text, size_t len)
{
	iconv_t cd = iconv_open("UTF-32LE", "UTF-8");
	assert_true(cd != (iconv_t)-1);
	char *in = (char *)text, *room = tf_malloc(len * 4 + 4), *out = room;
	size_t out_left = len * 4 + 4;
	bool bad = iconv(cd, &in, &len, &out, &out_left) == (size_t)-1;
	iconv_close(cd);
	free(room);
	return bad;
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20)
			return true;
	}
	return false;
}

static bool finds(const char *text, const char *pattern)
{
	regex_t re;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	bool found = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

static bool has_zero_in_front(const char *text, size_t len)
{
	(void)len;
	return finds(text, "(^|[^-+.0-9eE])-?0[0-9]");
}

static bool has_bare_point(const char *text, size_t len)
{
	(void)len;
	return finds(text, "-\\.|\\.([^0-9]|$)");
}

static struct {
	const char *story; /* part of our error */
	bool (*is_so)(const char *text, size_t len);
	int seen;
} lenient[] = {
	{"expected valid UTF-8", not_utf8, 0}, /* overlong forms, surrogates, beyond U+10FFFF */
	{"control characters to be escaped", has_control, 0},
	{"no digit after a leading zero", has_zero_in_front, 0}, /* but in plain "01" */
	{"a digit after the decimal point", has_bare_point, 0},
	{"expected a digit at", has_bare_point, 0},
};
enum { LENIENT = sizeof lenient / sizeof *lenient };

static bool known_lenience(const char *text, size_t len, const char *story)
{
	for (int i = 0; i < LENIENT; i++) {
		if (strstr(story, lenient[i].story) && lenient[i].is_so(text, len)) {
			lenient[i].seen++;
			return true;
		}
	}
	return false;
}

/* ---- structure ---- */

/* json-c puts U+FFFD for a lone surrogate and ends names at a NUL: such documents cannot be compared. */
static bool comparable(struct tf_json v)
{
	if (tf_json_type(v) == TF_JSON_STRING) {
		char *s = tf_json_strdup(v, NULL);
		free(s);
		return s != NULL;
	}
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key, val;
	while (tf_json_next(&it, &key, &val)) {
		if ((key.text && !comparable(key)) || !comparable(val))
			return false;
	}
	return true;
}

static bool same(struct tf_json v, struct json_object *tree);

static bool same_integer(struct tf_json v, struct json_object *tree)
{
	int64_t n;
	if (tf_json_int64(v, &n))
		return json_object_get_int64(tree) == n;
	/* json-c keeps unsigned 64 bits and saturates beyond. */
	if (v.text[0] == '-')
		return json_object_get_int64(tree) == INT64_MIN;
	char digits[21];
	snprintf(digits, sizeof digits, "%" PRIu64, json_object_get_uint64(tree));
	bool fits = v.len < 20 || (v.len == 20 && memcmp(v.text, "18446744073709551615", 20) <= 0);
	return fits ? v.len == strlen(digits) && memcmp(v.text, digits, v.len) == 0
		    : json_object_get_uint64(tree) == UINT64_MAX;
}

static bool same_real(struct tf_json v, struct json_object *tree)
{
	double d, theirs = json_object_get_double(tree);
	return tf_json_double(v, &d) && (isnan(d) ? isnan(theirs) : memcmp(&d, &theirs, sizeof d) == 0);
}

static bool same_string(struct tf_json v, struct json_object *tree)
{
	struct tf_buf bytes = TF_BUF_INIT;
	bool equal = tf_json_unescape(v, &bytes, NULL) == 0 &&
		     bytes.len == (size_t)json_object_get_string_len(tree) &&
		     memcmp(bytes.data, json_object_get_string(tree), bytes.len) == 0 &&
		     tf_json_string_is(v, json_object_get_string(tree));
	tf_buf_free(&bytes);
	return equal;
}

static bool same_array(struct tf_json v, struct json_object *tree)
{
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json val;
	size_t n = 0;
	for (; tf_json_next(&it, NULL, &val); n++) {
		if (n >= json_object_array_length(tree) || !same(val, json_object_array_get_idx(tree, n)))
			return false;
	}
	return n == json_object_array_length(tree);
}

static bool same_object(struct tf_json v, struct json_object *tree)
{
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key, val;
	while (tf_json_next(&it, &key, NULL)) {
		char *name = tf_json_strdup(key, NULL);
		struct json_object *theirs = NULL;
		bool found = json_object_object_get_ex(tree, name, &theirs) && tf_json_get(v, name, &val);
		free(name);
		if (!found || !same(val, theirs))
			return false;
	}
	json_object_object_foreach(tree, their_name, their_value)
	{
		if (!tf_json_get(v, their_name, &val) || !same(val, their_value))
			return false;
	}
	return true;
}

static bool same(struct tf_json v, struct json_object *tree)
{
	enum json_type theirs = json_object_get_type(tree);
	switch (tf_json_type(v)) {
	case TF_JSON_NULL:
		return theirs == json_type_null;
	case TF_JSON_TRUE:
	case TF_JSON_FALSE:
		return theirs == json_type_boolean &&
		       json_object_get_boolean(tree) == (tf_json_type(v) == TF_JSON_TRUE);
	case TF_JSON_INTEGER:
		return theirs == json_type_int && same_integer(v, tree);
	case TF_JSON_REAL:
		return theirs == json_type_double && same_real(v, tree);
	case TF_JSON_STRING:
		return theirs == json_type_string && same_string(v, tree);
	case TF_JSON_ARRAY:
		return theirs == json_type_array && same_array(v, tree);
	case TF_JSON_OBJECT:
		return theirs == json_type_object && same_object(v, tree);
	}
	return false;
}

/* ---- the comparison ---- */

static int both, neither, not_compared;

static void compare(const char *text, size_t len)
{
	struct tf_json root;
	struct tf_err err;
	struct json_object *tree;
	bool ours = tf_json_validate(text, len, 0, &root, &err) == 0;
	bool theirs = json_c_parse(text, len, &tree);
	if (ours && !theirs)
		fail_msg("seed %" PRIu64 ": only we accept: %s", seed, text);
	if (!ours && theirs && !known_lenience(text, len, err.message))
		fail_msg("seed %" PRIu64 ": only json-c accepts: %s (%s)", seed, text, err.message);
	if (ours && theirs) {
		both++;
		if (!comparable(root))
			not_compared++;
		else if (!same(root, tree))
			fail_msg("seed %" PRIu64 ": read differently: %s", seed, text);
	}
	neither += !ours && !theirs;
	json_object_put(tree);
}

static void random_documents(void **state)
{
	(void)state;
	enum { ROUNDS = 20000 };
	for (int i = 0; i < ROUNDS; i++) {
		struct tf_buf doc = TF_BUF_INIT;
		put_space(&doc);
		put_value(&doc, 4);
		put_space(&doc);
		if (i % 2)
			damage(&doc);
		if (!memchr(doc.data, '\0', doc.len))
			compare(doc.data, doc.len);
		tf_buf_free(&doc);
	}
	print_message("both accept %d (%d not compared), both reject %d", both, not_compared, neither);
	for (int i = 0; i < LENIENT; i++)
		print_message(", only json-c: %d '%s'", lenient[i].seen, lenient[i].story);
	print_message("\n");
	/* The comparison is worth its name: much is accepted, much rejected, little left out. */
	assert_true(both > ROUNDS / 2 && neither > ROUNDS / 10 && not_compared < ROUNDS / 50);
}

int main(void)
{
	const char *given = getenv("TFHOST_TEST_SEED");
	seed = given ? strtoull(given, NULL, 10) : tf_random(UINT32_MAX) + UINT64_C(1);
	random_state = seed;
	print_message("# TFHOST_TEST_SEED=%" PRIu64 "\n", seed);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
