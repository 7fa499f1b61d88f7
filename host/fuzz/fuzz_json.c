/* Any bytes as JSON: the validator refuses them with a story, or everything the cursor, the decoders
 * and the writers say about them agrees. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inspect_string(struct tf_json v)
{
	struct tf_buf bytes = TF_BUF_INIT;
	struct tf_err err;
	char *copy = tf_json_strdup(v, &err);
	int rc = tf_json_unescape(v, &bytes, &err);
	if (rc == 0) {
		TF_ASSERT(tf_utf8_valid_len(bytes.data, bytes.len) == bytes.len);
		TF_ASSERT((copy != NULL) == (memchr(bytes.data, '\0', bytes.len) == NULL));
		if (copy)
			TF_ASSERT(strcmp(copy, bytes.data) == 0 && tf_json_string_is(v, copy));
	} else {
		TF_ASSERT(rc == TF_EFORMAT && !copy && bytes.len == 0);
	}
	free(copy);
	tf_buf_free(&bytes);
}

static void inspect_number(struct tf_json v, enum tf_json_type type)
{
	int64_t n;
	double d;
	TF_ASSERT(tf_json_double(v, &d));
	if (!tf_json_int64(v, &n))
		return;
	TF_ASSERT(type == TF_JSON_INTEGER && (double)n == d);
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, n);
	TF_ASSERT(tf_json_equal(v, (struct tf_json){text, strlen(text)}));
}

static void rewrite(struct tf_json v, struct tf_buf *out);

static void rewrite_members(struct tf_json v, struct tf_buf *out)
{
	bool object = tf_json_type(v) == TF_JSON_OBJECT;
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key, val, found;
	size_t n = 0;
	tf_buf_putc(out, object ? '{' : '[');
	for (; tf_json_next(&it, &key, &val); n++) {
		TF_ASSERT(val.text > v.text && val.text + val.len < v.text + v.len);
		if (n)
			tf_buf_puts(out, ", ");
		if (object) {
			char *name = tf_json_strdup(key, NULL);
			TF_ASSERT(!name || tf_json_get(v, name, &found));
			free(name);
			rewrite(key, out);
			tf_buf_puts(out, ": ");
		} else {
			TF_ASSERT(!key.text);
		}
		rewrite(val, out);
	}
	TF_ASSERT(tf_json_count(v) == n);
	TF_ASSERT(!tf_json_at(v, n, NULL));
	tf_buf_putc(out, object ? '}' : ']');
}

/* Everything again in our writers' spelling. */
static void rewrite(struct tf_json v, struct tf_buf *out)
{
	struct tf_buf bytes = TF_BUF_INIT;
	enum tf_json_type type = tf_json_type(v);
	double d;
	switch (type) {
	case TF_JSON_OBJECT:
	case TF_JSON_ARRAY:
		rewrite_members(v, out);
		return;
	case TF_JSON_STRING:
		inspect_string(v);
		if (tf_json_unescape(v, &bytes, NULL) == 0)
			tf_json_write_string(out, bytes.data, bytes.len);
		else
			tf_buf_append(out, v.text, v.len); /* a lone surrogate */
		tf_buf_free(&bytes);
		return;
	case TF_JSON_REAL:
		inspect_number(v, type);
		TF_ASSERT(tf_json_double(v, &d));
		tf_json_write_real(out, d);
		return;
	case TF_JSON_INTEGER:
		inspect_number(v, type);
		break;
	default:
		break;
	}
	tf_buf_append(out, v.text, v.len);
}

/* Both ways to walk see the same members at the same places. */
static void step_along(struct tf_json v, struct tf_json_iter *steps)
{
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key, val, step_key, step_val;
	while (tf_json_next(&it, &key, &val)) {
		TF_ASSERT(tf_json_step(steps, &step_key, &step_val));
		TF_ASSERT(step_key.text == key.text && step_key.len == key.len && step_val.text == val.text);
		if (tf_json_type(val) < TF_JSON_ARRAY) {
			TF_ASSERT(step_val.len == val.len);
			continue;
		}
		struct tf_json_iter inner = tf_json_enter(steps);
		step_along(val, &inner);
		tf_json_leave(steps, &inner);
	}
	TF_ASSERT(!tf_json_step(steps, &step_key, &step_val));
}

static void inspect_document(struct tf_json root)
{
	struct tf_buf once = TF_BUF_INIT, twice = TF_BUF_INIT;
	struct tf_json again;
	struct tf_err err;
	struct tf_json_iter steps = tf_json_iter(root);
	step_along(root, &steps);
	rewrite(root, &once);
	TF_ASSERT(tf_json_validate(once.data, once.len, 0, &again, &err) == 0);
	TF_ASSERT(again.len == once.len);
	TF_ASSERT(tf_json_equal(root, again) && tf_json_equal(again, root));
	rewrite(again, &twice);
	TF_ASSERT(twice.len == once.len && memcmp(once.data, twice.data, once.len) == 0);
	tf_buf_free(&once);
	tf_buf_free(&twice);
}

/* Any bytes become a string token; those that are UTF-8 come back. */
static void inspect_writer(const char *text, size_t size)
{
	struct tf_buf token = TF_BUF_INIT, bytes = TF_BUF_INIT;
	struct tf_json v;
	tf_json_write_string(&token, text, size);
	TF_ASSERT(tf_json_validate(token.data, token.len, 0, &v, NULL) == 0);
	TF_ASSERT(tf_json_type(v) == TF_JSON_STRING && v.len == token.len);
	TF_ASSERT(tf_json_unescape(v, &bytes, NULL) == 0);
	bool utf8 = tf_utf8_valid_len(text, size) == size;
	TF_ASSERT(utf8 == (bytes.len == size && (size == 0 || memcmp(bytes.data, text, size) == 0)));
	tf_buf_free(&token);
	tf_buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct tf_json root;
	struct tf_err err;
	int rc = tf_json_validate(text, size, 0, &root, &err);
	if (rc == 0) {
		TF_ASSERT(tf_utf8_valid_len(text, size) == size);
		inspect_document(root);
	} else {
		TF_ASSERT((rc == TF_EFORMAT || rc == TF_ELIMIT) && err.code == rc && err.message[0]);
	}
	inspect_writer(text, size);
	return 0;
}
