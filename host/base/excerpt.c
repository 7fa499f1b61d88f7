#include "base/excerpt.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum {
	EXCERPT_AROUND = 2,    /* lines before and after */
	EXCERPT_COLUMNS = 160, /* bytes shown of a line */
	EXCERPT_MAX_FILE = 16 << 20,
	EXCERPT_MAX_LINE = 100000000,
};
#define EXCERPT_CUT "..." /* what LuaJIT puts in place of the beginning of a long path */

struct place {
	const char *path;
	size_t len;
	long line; /* 0: none */
};

static long line_number(const char *digits)
{
	char *end;
	long n = strtol(digits, &end, 10);
	return end > digits && n > 0 && n < EXCERPT_MAX_LINE ? n : 0;
}

/* The path that ends at `end`, from what cannot be part of one; never before `from`. */
static const char *path_start(const char *from, const char *end)
{
	while (end > from && !strchr(" \t\n'\"`([<", end[-1]))
		end--;
	return end;
}

/* The first `PATH.lua:LINE`. */
static struct place find_lua_place(const char *text)
{
	struct place found = {0};
	for (const char *at = text; !found.line && (at = strstr(at, ".lua:")); at++) {
		found.line = line_number(at + strlen(".lua:"));
		found.path = path_start(text, at);
		found.len = (size_t)(at - found.path) + strlen(".lua");
	}
	return found;
}

/* The last `File "PATH.lua", line LINE`. */
static struct place find_frame(const char *text)
{
	static const char before[] = "File \"", between[] = "\", line ";
	struct place found = {0};
	for (const char *at = text; (at = strstr(at, before)); at++) {
		const char *path = at + strlen(before), *end = strstr(path, between);
		long line = end ? line_number(end + strlen(between)) : 0;
		if (line && memchr(path, '\n', (size_t)(end - path)) == NULL)
			found = (struct place){path, (size_t)(end - path), line};
	}
	return found;
}

/* The path to open; the caller frees. A cut one is the only file with that end. */
static char *resolve(const struct place *p, const struct tf_buf *files)
{
	const size_t cut = strlen(EXCERPT_CUT);
	char *path = tf_strndup(p->path, p->len), *found = NULL;
	if (p->len <= cut || strncmp(path, EXCERPT_CUT, cut) != 0)
		return path;
	for (size_t at = 0; files && at < files->len; at += strlen(files->data + at) + 1) {
		const char *file = files->data + at;
		size_t len = strlen(file), tail = p->len - cut;
		if (len < tail || strcmp(file + len - tail, path + cut) != 0)
			continue;
		if (found) { /* two: not known which */
			free(found);
			found = NULL;
			break;
		}
		found = tf_strdup(file);
	}
	free(path);
	return found;
}

/* Append a line of the file: nothing in it may drive a terminal. */
static void put_line(struct tf_buf *out, const char *text, long number, bool marked)
{
	size_t len = strcspn(text, "\r\n");
	tf_buf_printf(out, "%s%5ld |", marked ? ">" : " ", number);
	if (len)
		tf_buf_putc(out, ' ');
	for (size_t i = 0; i < len && i < EXCERPT_COLUMNS; i++)
		tf_buf_putc(out, (unsigned char)text[i] < 0x20 && text[i] != '\t' ? '?' : text[i]);
	tf_buf_puts(out, len > EXCERPT_COLUMNS ? "...\n" : "\n");
}

static bool put_lines(struct tf_buf *out, FILE *f, long line)
{
	char *text = NULL;
	size_t size = 0, before = out->len;
	long last = 0;
	for (long n = 1; n <= line + EXCERPT_AROUND && getline(&text, &size, f) > 0; last = n++)
		if (n >= line - EXCERPT_AROUND)
			put_line(out, text, n, n == line);
	free(text);
	if (last < line) /* it has changed since */
		out->len = before;
	return last >= line;
}

bool tf_excerpt(const char *message, const struct tf_buf *files, struct tf_buf *out)
{
	struct place p = find_lua_place(message);
	if (!p.line)
		p = find_frame(message);
	char *path = p.line && p.len < PATH_MAX ? resolve(&p, files) : NULL;
	struct stat st;
	bool done = false;
	FILE *f = path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= EXCERPT_MAX_FILE
			  ? fopen(path, "re")
			  : NULL;
	if (f) {
		done = put_lines(out, f, p.line);
		fclose(f);
	}
	free(path);
	return done;
}
