#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where glibc begins, too; said, it stays there. */
enum { MEM_LARGE = 128 << 10, MEM_TRIM = 512 << 10 };

static void (*exhausted)(void *arg, size_t bytes);
static void *exhausted_arg;

void tf_mem_set_up(void)
{
	mallopt(M_MMAP_THRESHOLD, MEM_LARGE);
	mallopt(M_TRIM_THRESHOLD, MEM_TRIM);
}

void tf_mem_on_exhausted(void (*handler)(void *arg, size_t bytes), void *arg)
{
	exhausted = handler;
	exhausted_arg = arg;
}

/* No allocation here: there is no memory to report the lack of memory with. */
static _Noreturn void out_of_memory(size_t n)
{
	char line[80];
	int len = snprintf(line, sizeof line, "tfhost: out of memory (%zu bytes asked for)\n", n);
	if (exhausted)
		exhausted(exhausted_arg, n);
	if (write(STDERR_FILENO, line, (size_t)len) < 0) {
		/* Nobody is left to tell. */
	}
	abort();
}

void *tf_malloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (!p)
		out_of_memory(n);
	return p;
}

void *tf_calloc(size_t count, size_t n)
{
	if (n && count > SIZE_MAX / n)
		out_of_memory(SIZE_MAX);
	void *p = count && n ? calloc(count, n) : calloc(1, 1);
	if (!p)
		out_of_memory(count * n);
	return p;
}

void *tf_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);
	if (!q)
		out_of_memory(n);
	return q;
}

char *tf_strdup(const char *s)
{
	return s ? tf_strndup(s, strlen(s)) : NULL;
}

char *tf_strndup(const char *s, size_t n)
{
	if (n == SIZE_MAX)
		out_of_memory(n);
	char *copy = tf_malloc(n + 1);
	if (n)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *tf_asprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	return text;
}
