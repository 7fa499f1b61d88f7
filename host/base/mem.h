/* Allocation that cannot fail: out of memory ends the process with a message.
 *
 * Every size that a peer can choose is bounded by a limit before it gets here, and
 * delivery is at least once, so a process that dies loses nothing. Free with free(). */
#ifndef TF_BASE_MEM_H
#define TF_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

/* For a process that lives long, before its first large allocation: a large block is the kernel's again as soon as it is freed.
 * Left to itself glibc keeps those after the first among small ones (its threshold follows what is freed), where small ones
 * that stay keep them from the kernel: a worker's memory then grows for hours with messages that are long gone. */
void tf_mem_set_up(void);

/* Have `handler` called with the bytes that were asked for before the process ends for lack of memory; it must not allocate. One
 * a process; NULL: none. */
void tf_mem_on_exhausted(void (*handler)(void *arg, size_t bytes), void *arg);

void *tf_malloc(size_t n) __attribute__((returns_nonnull));
/* Zeroed; aborts on overflow. */
void *tf_calloc(size_t count, size_t n) __attribute__((returns_nonnull));
void *tf_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *tf_strdup(const char *s);            /* NULL gives NULL */
char *tf_strndup(const char *s, size_t n); /* copies n bytes, adds NUL */
char *tf_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define TF_NEW(type) ((type *)tf_calloc(1, sizeof(type)))

#endif
