#include "engine/item.h"

#include <stdio.h>

/* Length of the character at s: an escape (two of them for a surrogate pair) or a UTF-8 sequence. */
static size_t char_len(const char *s, const char *end)
{
	if (*s != '\\') {
		const char *p = s + 1;
		while (p < end && ((unsigned char)*p & 0xc0) == 0x80)
			p++;
		return (size_t)(p - s);
	}
	if (s[1] != 'u')
		return 2;
	bool high = (s[2] == 'd' || s[2] == 'D') &&
		    (s[3] == '8' || s[3] == '9' || (s[3] | 32) == 'a' || (s[3] | 32) == 'b');
	bool low_follows = end - s >= 12 && s[6] == '\\' && s[7] == 'u' && (s[8] | 32) == 'd' &&
			   (s[9] | 32) >= 'c' && (s[9] | 32) <= 'f';
	return high && low_follows ? 12 : 6;
}

static struct tf_value *character(struct tf_json string, size_t index)
{
	const char *s = string.text + 1, *end = string.text + string.len - 1;
	for (; s < end && index > 0; index--)
		s += char_len(s, end);
	if (s >= end)
		return NULL;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '"');
	tf_buf_append(&b, s, char_len(s, end));
	tf_buf_putc(&b, '"');
	return tf_value_take(&b);
}

struct tf_value *tf_item(struct tf_value *container, const struct tf_provide *p)
{
	if (p->how == TF_WHOLE)
		return tf_value_ref(container);
	struct tf_json v = tf_value_json(container), item;
	enum tf_json_type type = tf_json_type(v);
	if (p->how == TF_KEY)
		return tf_json_get(v, p->symbol, &item) ? tf_value_from(item) : NULL;
	if (type == TF_JSON_ARRAY)
		return tf_json_at(v, p->index, &item) ? tf_value_from(item) : NULL;
	if (type == TF_JSON_STRING)
		return character(v, p->index);
	if (type == TF_JSON_OBJECT) {
		/* A map with integer keys is an object with decimal ones. */
		char key[24];
		snprintf(key, sizeof key, "%zu", p->index);
		return tf_json_get(v, key, &item) ? tf_value_from(item) : NULL;
	}
	return NULL;
}
