#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tf_err_text(int code)
{
	static const char *const texts[] = {
#define X(name, text) text,
		TF_ERR_CODES(X)
#undef X
	};
	if (code == TF_OK)
		return "success";
	if (code > 0 || code < -TF_ERR_COUNT)
		return "unknown error";
	return texts[-(code + 1)];
}

/* End a cut message in "...", without leaving half of a UTF-8 character before it. */
static void mark_cut(char *text, size_t size)
{
	size_t at = size - sizeof "...";
	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	memcpy(text + at, "...", sizeof "...");
}

/* The arguments may point into err->message, so it is written last. */
static int set_v(struct tf_err *err, int code, const char *file, int line, const char *fmt, va_list ap)
{
	if (!err)
		return code;
	char text[sizeof err->message];
	int n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0)
		snprintf(text, sizeof text, "%s", tf_err_text(code));
	else if ((size_t)n >= sizeof text)
		mark_cut(text, sizeof text);
	memcpy(err->message, text, strlen(text) + 1);
	err->code = code;
	err->file = file;
	err->line = line;
	return code;
}

int tf_err_set_at(struct tf_err *err, int code, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_v(err, code, file, line, fmt, ap);
	va_end(ap);
	return code;
}

static void append(struct tf_err *err, const char *separator, const char *text)
{
	size_t room = sizeof err->message;
	size_t used = strlen(err->message);
	int n = snprintf(err->message + used, room - used, "%s%s", separator, text);
	if (n > 0 && (size_t)n >= room - used)
		mark_cut(err->message, room);
}

int tf_err_sys_at(struct tf_err *err, const char *file, int line, const char *fmt, ...)
{
	int number = errno;
	va_list ap;
	va_start(ap, fmt);
	set_v(err, TF_ESYS, file, line, fmt, ap);
	va_end(ap);
	if (err) {
		char buf[128];
		append(err, ": ", strerror_r(number, buf, sizeof buf));
	}
	errno = number;
	return TF_ESYS;
}

int tf_err_prefix(struct tf_err *err, const char *fmt, ...)
{
	if (!err)
		return TF_EINVAL;
	char story[sizeof err->message];
	memcpy(story, err->message, sizeof story);
	va_list ap;
	va_start(ap, fmt);
	set_v(err, err->code, err->file, err->line, fmt, ap);
	va_end(ap);
	append(err, ": ", story);
	return err->code;
}

void tf_bug(const char *what, const char *file, int line)
{
	fprintf(stderr, "tfhost: bug at %s:%d: %s\n", file, line, what);
	abort();
}
