#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { FIRST_CAP = 64 };

void tf_buf_reserve(struct tf_buf *b, size_t extra)
{
	TF_ASSERT(extra < SIZE_MAX - b->len);
	size_t need = b->len + extra + 1; /* the NUL */
	if (need <= b->cap)
		return;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	b->data = tf_realloc(b->data, cap);
	b->cap = cap;
	b->data[b->len] = '\0';
}

void tf_buf_append(struct tf_buf *b, const void *bytes, size_t n)
{
	tf_buf_reserve(b, n);
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void tf_buf_puts(struct tf_buf *b, const char *s)
{
	tf_buf_append(b, s, strlen(s));
}

void tf_buf_putc(struct tf_buf *b, char c)
{
	tf_buf_append(b, &c, 1);
}

void tf_buf_printf(struct tf_buf *b, const char *fmt, ...)
{
	tf_buf_reserve(b, 0);
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	TF_ASSERT(n >= 0);
	if ((size_t)n >= b->cap - b->len) {
		tf_buf_reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
	}
	va_end(again);
	b->len += (size_t)n;
}

void tf_buf_put_decimal(struct tf_buf *b, uint64_t n, unsigned width)
{
	char digits[20], *at = digits + sizeof(digits);
	TF_ASSERT(width >= 1 && width <= sizeof(digits));
	for (; n > 0 || at > digits + sizeof(digits) - width; n /= 10)
		*--at = (char)('0' + n % 10);
	tf_buf_append(b, at, (size_t)(digits + sizeof(digits) - at));
}

void tf_buf_consume(struct tf_buf *b, size_t n)
{
	TF_ASSERT(n <= b->len);
	if (!n)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}

void tf_buf_reset(struct tf_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

char *tf_buf_steal(struct tf_buf *b)
{
	tf_buf_reserve(b, 0);
	char *data = b->data;
	*b = TF_BUF_INIT;
	return data;
}

void tf_buf_free(struct tf_buf *b)
{
	free(b->data);
	*b = TF_BUF_INIT;
}
