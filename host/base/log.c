#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

/* A line is one write(2), which pipes up to PIPE_BUF (4096) keep whole between processes. */
enum { LINE_MAX_BYTES = 4096, ESCAPE_MAX = 6, PATIENCE_MS = 200 };

static _Atomic int least = TF_LOG_INFO, format = TF_LOG_TEXT;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void tf_log_set_level(enum tf_log_level level)
{
	atomic_store(&least, (int)level);
}

enum tf_log_level tf_log_get_level(void)
{
	return (enum tf_log_level)atomic_load(&least);
}

void tf_log_set_format(enum tf_log_format f)
{
	atomic_store(&format, (int)f);
}

enum tf_log_format tf_log_get_format(void)
{
	return (enum tf_log_format)atomic_load(&format);
}

void tf_log_from_environment(void)
{
	static const char *const formats[] = {
#define X(name, text) text,
		TF_LOG_FORMATS(X)
#undef X
	};
	const char *f = getenv("TFHOST_LOG_FORMAT"), *l = getenv("TFHOST_LOG_LEVEL");
	for (size_t i = 0; f && i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(f, formats[i]))
			tf_log_set_format((enum tf_log_format)i);
	for (size_t i = 0; l && i < TF_LOG_OFF; i++)
		if (!strcmp(l, level_names[i]))
			tf_log_set_level((enum tf_log_level)i);
}

void tf_log_configure(const char *as, const char *level)
{
	if (as)
		setenv("TFHOST_LOG_FORMAT", as, 1);
	if (level)
		setenv("TFHOST_LOG_LEVEL", level, 1);
	tf_log_from_environment();
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

/* How a character is written that may not be shown as it is. */
static size_t escape(char *out, unsigned char c, enum tf_log_format f)
{
	static const char from[] = "\n\r\t", to[] = "nrt";
	const char *short_form = c ? strchr(from, c) : NULL;
	if (short_form)
		return (size_t)sprintf(out, "\\%c", to[short_form - from]);
	if (f == TF_LOG_JSON && c < 0x80)
		return (size_t)sprintf(out, "\\u%04x", c);
	return (size_t)sprintf(out, f == TF_LOG_JSON ? "\\\\x%02x" : "\\x%02x", c);
}

/* One character of the text: its bytes in *used, what is written in the return value. */
static size_t put_char(char *out, const char *text, size_t len, enum tf_log_format f, size_t *used)
{
	size_t n = shown(text, len);
	*used = n ? n : 1;
	if (n == 0)
		return escape(out, (unsigned char)*text, f);
	if (f != TF_LOG_TEXT && (*text == '"' || *text == '\\')) {
		out[0] = '\\';
		out[1] = *text;
		return 2;
	}
	memcpy(out, text, n);
	return n;
}

/* Foreign bytes in the text can neither end the line, nor begin another, nor drive a terminal. */
static size_t put_text(char *out, size_t room, const char *text, size_t len, bool cut, enum tf_log_format f)
{
	size_t used = 0;
	room -= sizeof "..." - 1;
	for (size_t i = 0, taken; i < len; i += taken) {
		char piece[ESCAPE_MAX + 2];
		size_t n = put_char(piece, text + i, len - i, f, &taken);
		if (used + n > room) {
			cut = true;
			break;
		}
		memcpy(out + used, piece, n);
		used += n;
	}
	if (cut) {
		memcpy(out + used, "...", sizeof "..." - 1);
		used += sizeof "..." - 1;
	}
	return used;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows, and of writing */
static unsigned long lost;
static char process_ids[4][TF_LOG_ID_MAX + 1];

void tf_log_set_ids(const struct tf_log_ids *ids)
{
	const char *const from[] = {ids->flow, ids->atom, ids->request, ids->worker};
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < 4; i++)
		if (from[i])
			snprintf(process_ids[i], sizeof process_ids[i], "%s", from[i]);
	pthread_mutex_unlock(&lock);
}

/* The members of a line that name what it is about; those of the process are no news to people. */
static size_t put_ids(char *out, const struct tf_log_ids *ids, enum tf_log_format f)
{
	static const char *const names[] = {"flow", "atom", "request", "worker"};
	const char *const given[] = {ids ? ids->flow : NULL, ids ? ids->atom : NULL,
		ids ? ids->request : NULL, ids ? ids->worker : NULL};
	char value[TF_LOG_ID_MAX + 1];
	size_t used = 0;
	for (size_t i = 0; i < 4; i++) {
		value[0] = '\0';
		if (given[i]) {
			snprintf(value, sizeof value, "%s", given[i]);
		} else if (f != TF_LOG_TEXT) {
			pthread_mutex_lock(&lock);
			memcpy(value, process_ids[i], sizeof value);
			pthread_mutex_unlock(&lock);
		}
		if (!value[0])
			continue;
		bool quoted = f == TF_LOG_JSON || strpbrk(value, " =\"");
		used += (size_t)sprintf(out + used, f == TF_LOG_JSON ? ", \"%s\": " : " %s=", names[i]);
		if (quoted)
			out[used++] = '"';
		used += put_text(out + used, TF_LOG_ID_MAX + 1, value, strlen(value), false,
			quoted && f == TF_LOG_TEXT ? TF_LOG_LOGFMT : f);
		if (quoted)
			out[used++] = '"';
	}
	return used;
}

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

enum { IDS_MAX_BYTES = 4 * (TF_LOG_ID_MAX + sizeof ", \"request\": \"\"") };

/* The whole line, with its end. */
static size_t put_line(char line[LINE_MAX_BYTES], enum tf_log_level level, const char *area,
	const struct tf_log_ids *ids, const char *text, size_t len, bool cut)
{
	static const char *const heads[] = {"%s %s %.32s: ", "time=%s level=%s area=%.32s msg=\"",
		"{\"time\": \"%s\", \"level\": \"%s\", \"area\": \"%.32s\", \"message\": \""};
	static const char *const capitals[] = {"DEBUG", "INFO", "WARN", "ERROR"};
	static const char *const tails[] = {"\n", "\n", "}\n"};
	const enum tf_log_format f = tf_log_get_format();
	char when[40], about[IDS_MAX_BYTES];
	when[stamp(when, sizeof when)] = '\0';
	size_t about_len = put_ids(about, ids, f), tail_len = strlen(tails[f]) + 1;
	size_t used = (size_t)snprintf(line, LINE_MAX_BYTES, heads[f], when,
		f == TF_LOG_TEXT ? capitals[level] : level_names[level], area);
	used += put_text(line + used, LINE_MAX_BYTES - used - about_len - tail_len, text, len, cut, f);
	if (f != TF_LOG_TEXT)
		line[used++] = '"';
	memcpy(line + used, about, about_len);
	used += about_len;
	memcpy(line + used, tails[f], strlen(tails[f]));
	return used + strlen(tails[f]);
}

/* Standard error that is full (a pipe that nobody reads) or gone must not stop the program: lines are
 * lost, and counted. */
static void write_line(const char *line, size_t n)
{
	char note[LINE_MAX_BYTES], text[80];
	unsigned long were_lost = 0;
	pthread_mutex_lock(&lock);
	if (!has_room()) {
		lost++;
	} else if (lost) {
		were_lost = lost;
		lost = 0;
	} else {
		write_all(line, n);
	}
	pthread_mutex_unlock(&lock);
	if (!were_lost)
		return;
	size_t len = (size_t)snprintf(
		text, sizeof text, "%lu lines were lost, standard error was full", were_lost);
	len = put_line(note, TF_LOG_WARN, "log", NULL, text, len, false);
	pthread_mutex_lock(&lock);
	write_all(note, len);
	if (has_room())
		write_all(line, n);
	else
		lost++;
	pthread_mutex_unlock(&lock);
}

void tf_log(enum tf_log_level level, const char *area, const struct tf_log_ids *ids, const char *fmt, ...)
{
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
	write_line(line, put_line(line, level, area, ids, text, len, cut));
	errno = saved;
}
