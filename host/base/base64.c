#include "base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tf_base64_encode(struct tf_buf *out, const void *bytes, size_t n)
{
	const unsigned char *in = bytes;
	TF_ASSERT(n / 3 < SIZE_MAX / 4 - 1);
	tf_buf_reserve(out, (n / 3 + 1) * 4);
	char *to = out->data + out->len;
	for (; n >= 3; n -= 3, in += 3) {
		*to++ = alphabet[in[0] >> 2];
		*to++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*to++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*to++ = alphabet[in[2] & 63];
	}
	if (n) {
		unsigned second = n == 2 ? in[1] : 0;
		*to++ = alphabet[in[0] >> 2];
		*to++ = alphabet[(in[0] & 3) << 4 | second >> 4];
		*to++ = n == 2 ? alphabet[(second & 15) << 2] : '=';
		*to++ = '=';
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

/* 0..63, or -1 for a character outside the alphabet. */
static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

static int check(const char *text, size_t n, size_t *digits, struct tf_err *err)
{
	if (n % 4)
		return tf_err_set(err, TF_EFORMAT, "base64: length %zu is not a multiple of 4", n);
	*digits = n;
	if (n && text[n - 1] == '=')
		*digits -= text[n - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < *digits; i++) {
		if (digit(text[i]) < 0)
			return tf_err_set(err, TF_EFORMAT,
				"base64: byte 0x%02x at offset %zu is not of the alphabet",
				(unsigned char)text[i], i);
	}
	return 0;
}

int tf_base64_decode(struct tf_buf *out, const char *text, size_t n, struct tf_err *err)
{
	size_t digits = 0;
	int rc = check(text, n, &digits, err);
	if (rc)
		return rc;
	tf_buf_reserve(out, n / 4 * 3);
	char *to = out->data + out->len;
	uint32_t bits = 0;
	for (size_t i = 0; i < digits; i++) {
		bits = bits << 6 | (uint32_t)digit(text[i]);
		if (i % 4 == 0)
			continue;
		*to++ = (char)(bits >> (6 - i % 4 * 2) & 0xff);
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
	return 0;
}
