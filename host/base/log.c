#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

/* A line is one write(2), which pipes up to PIPE_BUF (4096) keep whole between processes. */
enum { LINE_MAX_BYTES = 4096, ESCAPE_MAX = 4, PATIENCE_MS = 200 };

static _Atomic int least = TF_LOG_INFO;

void tf_log_set_level(enum tf_log_level level)
{
	atomic_store(&least, (int)level);
}

enum tf_log_level tf_log_get_level(void)
{
	return (enum tf_log_level)atomic_load(&least);
}

static size_t stamp(char *out, size_t size)
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(out + n, size - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

/* Bytes of the character at s that may be shown as they are: 0 for a control character (C0, DEL,
 * and the C1 set, which terminals obey too) and for what is not UTF-8. */
static size_t shown(const char *s, size_t len)
{
	unsigned char c = (unsigned char)*s;
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (n > len || tf_utf8_valid_len(s, n) != n)
		return 0;
	return c == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : n;
}

static size_t escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\n\r\t", to[] = "nrt";
	const char *short_form = c ? strchr(from, c) : NULL;
	out[0] = '\\';
	if (short_form) {
		out[1] = to[short_form - from];
		return 2;
	}
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return ESCAPE_MAX;
}

/* Foreign bytes in the text can neither end the line, nor begin another, nor drive a terminal. */
static size_t put_text(char *out, size_t room, const char *text, size_t len, bool cut)
{
	size_t used = 0;
	room -= sizeof "..." - 1;
	for (size_t i = 0; i < len;) {
		size_t n = shown(text + i, len - i);
		if (used + (n ? n : ESCAPE_MAX) > room) {
			cut = true;
			break;
		}
		if (n) {
			memcpy(out + used, text + i, n);
			used += n;
			i += n;
		} else {
			used += escape(out + used, (unsigned char)text[i]);
			i++;
		}
	}
	if (cut) {
		memcpy(out + used, "...", sizeof "..." - 1);
		used += sizeof "..." - 1;
	}
	return used;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows, and of writing */
static unsigned long lost;

/* A pipe that has room for a line says so; whoever reads it gets a moment, once. */
static bool has_room(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	int rc;
	do {
		rc = poll(&p, 1, lost ? 0 : PATIENCE_MS);
	} while (rc < 0 && errno == EINTR);
	return rc > 0;
}

static void write_all(const char *line, size_t n)
{
	while (n) {
		ssize_t done = write(STDERR_FILENO, line, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		line += done;
		n -= (size_t)done;
	}
}

/* Standard error that is full (a pipe that nobody reads) or gone must not stop the program: lines are
 * lost, and counted. */
static void write_line(const char *line, size_t n)
{
	char note[128];
	pthread_mutex_lock(&lock);
	if (!has_room()) {
		lost++;
	} else {
		if (lost) {
			size_t used = stamp(note, sizeof note);
			used += (size_t)snprintf(note + used, sizeof note - used,
				" WARN log: %lu lines were lost, standard error was full\n", lost);
			lost = 0;
			write_all(note, used);
		}
		if (has_room())
			write_all(line, n);
		else
			lost++;
	}
	pthread_mutex_unlock(&lock);
}

void tf_log(enum tf_log_level level, const char *area, const char *fmt, ...)
{
	static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
	if (level >= TF_LOG_OFF || level < tf_log_get_level())
		return;
	int saved = errno;
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = snprintf(text, sizeof text, "(text that cannot be formatted: %s)", fmt);
	bool cut = (size_t)n >= sizeof text;
	size_t len = cut ? sizeof text - 1 : (size_t)n;

	size_t used = stamp(line, sizeof line);
	used += (size_t)snprintf(line + used, sizeof line - used, " %s %.32s: ", names[level], area);
	used += put_text(line + used, sizeof line - used - 1, text, len, cut);
	line[used++] = '\n';
	write_line(line, used);
	errno = saved;
}
