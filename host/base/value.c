#include "base/value.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct tf_value {
	atomic_size_t refs;
	size_t len;
	char text[]; /* NUL-terminated */
};

static struct tf_value *copy(const char *text, size_t len)
{
	TF_ASSERT(len < SIZE_MAX - sizeof(struct tf_value) - 1);
	struct tf_value *v = tf_malloc(sizeof *v + len + 1);
	atomic_init(&v->refs, 1);
	v->len = len;
	memcpy(v->text, text, len);
	v->text[len] = '\0';
	return v;
}

struct tf_value *tf_value_parse(const char *text, size_t len, unsigned max_depth, struct tf_err *err)
{
	struct tf_json root;
	return tf_json_validate(text, len, max_depth, &root, err) ? NULL : tf_value_from(root);
}

struct tf_value *tf_value_from(struct tf_json json)
{
	TF_ASSERT(json.len > 0);
	return copy(json.text, json.len);
}

struct tf_value *tf_value_take(struct tf_buf *b)
{
	TF_ASSERT(b->len > 0);
	struct tf_value *v = copy(b->data, b->len);
	tf_buf_free(b);
	return v;
}

struct tf_value *tf_value_string(const char *utf8)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_json_write_string(&b, utf8, strlen(utf8));
	return tf_value_take(&b);
}

struct tf_value *tf_value_null(void)
{
	return copy("null", 4);
}

struct tf_value *tf_value_empty_object(void)
{
	return copy("{}", 2);
}

struct tf_value *tf_value_ref(struct tf_value *v)
{
	if (v)
		atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void tf_value_unref(struct tf_value *v)
{
	if (!v)
		return;
	/* The last one out must see what every other holder did with the text. */
	if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
		free(v);
}

struct tf_json tf_value_json(const struct tf_value *v)
{
	return (struct tf_json){v->text, v->len};
}

const char *tf_value_text(const struct tf_value *v)
{
	return v->text;
}

size_t tf_value_len(const struct tf_value *v)
{
	return v->len;
}
