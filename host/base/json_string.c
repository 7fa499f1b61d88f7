/* String tokens: escapes to bytes and back, and comparison without a copy. */
#include "base/json.h"

#include <string.h>

#include "base/mem.h"

enum { UTF8_MAX = 4 };

static bool is_surrogate(uint32_t c)
{
	return c >= 0xd800 && c <= 0xdfff;
}

static uint32_t hex4(const char *s)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

static size_t utf8_put(unsigned char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (unsigned char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (unsigned char)(0x80 | (c & 0x3f));
	out[0] = (unsigned char)(lead[n] | c);
	return n;
}

/* What is between the quotes. */
static struct tf_json inside(struct tf_json string)
{
	return (struct tf_json){string.text + 1, string.len - 2};
}

static bool is_string(struct tf_json v)
{
	return v.len >= 2 && v.text[0] == '"';
}

/* *at is a backslash; moves past the escape, a surrogate pair being one. Returns the code point,
 * which is a surrogate if it stands alone. */
static uint32_t take_escape(const char **at, const char *end)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = (*at)[1];
	if (c != 'u') {
		const char *named = strchr(from, c);
		*at += 2;
		return named ? (unsigned char)to[named - from] : (unsigned char)c;
	}
	uint32_t code = hex4(*at + 2);
	*at += 6;
	if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
		uint32_t low = hex4(*at + 2);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*at += 6;
			return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return code;
}

/* The unescaped bytes of a token in pieces. A lone surrogate comes as the three bytes UTF-8 would
 * give it, which no valid text contains. */
struct pieces {
	const char *at, *end;
	unsigned char escaped[UTF8_MAX];
};

static bool next_piece(struct pieces *p, const void **piece, size_t *n, bool *lone)
{
	if (p->at >= p->end)
		return false;
	*lone = false;
	if (*p->at == '\\') {
		uint32_t code = take_escape(&p->at, p->end);
		*lone = is_surrogate(code);
		*n = utf8_put(p->escaped, code);
		*piece = p->escaped;
		return true;
	}
	const char *stop = memchr(p->at, '\\', (size_t)(p->end - p->at));
	*piece = p->at;
	*n = (size_t)((stop ? stop : p->end) - p->at);
	p->at += *n;
	return true;
}

static struct pieces pieces(struct tf_json string)
{
	struct tf_json in = inside(string);
	return (struct pieces){.at = in.text, .end = in.text + in.len};
}

int tf_json_unescape(struct tf_json string, struct tf_buf *out, struct tf_err *err)
{
	if (!is_string(string))
		return tf_err_set(err, TF_EFORMAT, "expected a string, found %s",
			tf_json_type_name(tf_json_type(string)));
	struct pieces p = pieces(string);
	const void *piece;
	size_t n, before = out->len;
	bool lone;
	tf_buf_reserve(out, string.len - 2); /* no escape is shorter than what it stands for */
	const char *here = p.at;
	while (next_piece(&p, &piece, &n, &lone)) {
		if (lone) {
			out->len = before;
			out->data[before] = '\0';
			return tf_err_set(err, TF_EFORMAT,
				"string has a lone surrogate (%.6s), which UTF-8 cannot express", here);
		}
		tf_buf_append(out, piece, n);
		here = p.at;
	}
	return 0;
}

bool tf_json_string_is(struct tf_json string, const char *s)
{
	if (!is_string(string))
		return false;
	size_t len = strlen(s);
	struct pieces p = pieces(string);
	const void *piece;
	size_t n;
	bool lone;
	while (next_piece(&p, &piece, &n, &lone)) {
		if (lone || n > len || memcmp(piece, s, n) != 0)
			return false;
		s += n;
		len -= n;
	}
	return len == 0;
}

int tf_json_string_compare(struct tf_json a, struct tf_json b)
{
	TF_ASSERT(is_string(a) && is_string(b));
	struct pieces pa = pieces(a), pb = pieces(b);
	const void *from_a = NULL, *from_b = NULL;
	size_t na = 0, nb = 0;
	bool lone;
	for (;;) {
		bool end_a = !na && !next_piece(&pa, &from_a, &na, &lone);
		bool end_b = !nb && !next_piece(&pb, &from_b, &nb, &lone);
		if (end_a || end_b)
			return (int)end_b - (int)end_a;
		size_t n = na < nb ? na : nb;
		int order = memcmp(from_a, from_b, n);
		if (order)
			return order;
		from_a = (const char *)from_a + n;
		from_b = (const char *)from_b + n;
		na -= n;
		nb -= n;
	}
}

char *tf_json_strdup(struct tf_json string, struct tf_err *err)
{
	struct tf_buf b = TF_BUF_INIT;
	if (tf_json_unescape(string, &b, err)) {
		tf_buf_free(&b);
		return NULL;
	}
	size_t len = b.len;
	char *copy = tf_buf_steal(&b);
	if (strlen(copy) == len)
		return copy;
	free(copy);
	tf_err_set(err, TF_EFORMAT, "string has a NUL character, which is not allowed here");
	return NULL;
}

/* Reads one character that is known to be valid UTF-8. */
static uint32_t utf8_take(const unsigned char *s, size_t n)
{
	if (n == 1)
		return s[0];
	uint32_t c = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

static void write_hex4(struct tf_buf *out, uint32_t c)
{
	static const char digits[] = "0123456789abcdef";
	const char text[6] = {
		'\\', 'u', digits[c >> 12], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15]};
	tf_buf_append(out, text, sizeof text);
}

static void write_escape(struct tf_buf *out, uint32_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *named = c && c < 0x80 ? strchr(from, (int)c) : NULL;
	if (named) {
		char pair[2] = {'\\', to[named - from]};
		tf_buf_append(out, pair, 2);
	} else if (c < 0x10000) {
		write_hex4(out, c);
	} else {
		c -= 0x10000;
		write_hex4(out, 0xd800 + (c >> 10));
		write_hex4(out, 0xdc00 + (c & 0x3ff));
	}
}

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

void tf_json_write_string(struct tf_buf *out, const char *s, size_t len)
{
	const unsigned char *at = (const unsigned char *)s, *end = at + len;
	tf_buf_reserve(out, len + 2);
	tf_buf_putc(out, '"');
	while (at < end) {
		const unsigned char *run = at;
		while (at < end && is_plain(*at))
			at++;
		tf_buf_append(out, run, (size_t)(at - run));
		if (at == end)
			break;
		size_t n = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
		bool valid = n <= (size_t)(end - at) && tf_utf8_valid_len((const char *)at, n) == n;
		write_escape(out, valid ? utf8_take(at, n) : 0xfffd);
		at += valid ? n : 1;
	}
	tf_buf_putc(out, '"');
}

void tf_json_write_text(struct tf_buf *out, const char *name, const char *text)
{
	tf_buf_printf(out, "\"%s\": ", name);
	tf_json_write_string(out, text, tf_utf8_valid_len(text, strlen(text)));
}
