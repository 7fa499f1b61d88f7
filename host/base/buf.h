/* Growable bytes. Always NUL-terminated one past `len` once anything was appended. */
#ifndef TF_BASE_BUF_H
#define TF_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct tf_buf {
	char *data; /* owned; NULL while empty */
	size_t len;
	size_t cap;
};

#define TF_BUF_INIT ((struct tf_buf){0})

void tf_buf_reserve(struct tf_buf *b, size_t extra); /* room for `extra` more bytes */
void tf_buf_append(struct tf_buf *b, const void *bytes, size_t n);
void tf_buf_puts(struct tf_buf *b, const char *s);
void tf_buf_putc(struct tf_buf *b, char c);
void tf_buf_printf(struct tf_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* n in decimal, with zeros before it up to `width` digits (1 to 20). */
void tf_buf_put_decimal(struct tf_buf *b, uint64_t n, unsigned width);
void tf_buf_consume(struct tf_buf *b, size_t n); /* drop the first n bytes (memmove) */
void tf_buf_reset(struct tf_buf *b);             /* len = 0, keeps memory */
char *tf_buf_steal(struct tf_buf *b);            /* caller frees; never NULL; b is empty after */
void tf_buf_free(struct tf_buf *b);              /* releases and zeroes */

#endif
