#include "control/http_request.h"

#include <string.h>

/* Bytes of the head, the empty line included; 0: it is not there yet. */
static size_t head_length(const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (text[i] != '\n')
			continue;
		if (text[i + 1] == '\n')
			return i + 2;
		if (text[i + 1] == '\r' && i + 2 < len && text[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

static bool is_token(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* "GET /path?query HTTP/1.1" */
static int request_line(const char *line, size_t len, struct tf_http_request *out)
{
	size_t method = 0;
	while (method < len && is_token(line[method]))
		method++;
	const char *target = line + method + 1, *end = line + len;
	if (method == 0 || method + 1 >= len || line[method] != ' ' || *target != '/')
		return 400;
	const char *space = memchr(target, ' ', (size_t)(end - target));
	for (const char *c = target; c < end; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			return 400;
	if (!space || end - space != sizeof(" HTTP/1.1") - 1 || memcmp(space, " HTTP/", 6) != 0)
		return 400;
	if (memcmp(space, " HTTP/1.", 8) != 0)
		return 505;
	out->head = method == 4 && !memcmp(line, "HEAD", 4);
	if (!out->head && !(method == 3 && !memcmp(line, "GET", 3)))
		return 405;
	const char *query = memchr(target, '?', (size_t)(space - target));
	out->path = target;
	out->path_len = (size_t)((query ? query : space) - target);
	return 200;
}

int tf_http_request(const char *text, size_t len, struct tf_http_request *out)
{
	size_t head = head_length(text, len);
	if (head > TF_HTTP_HEAD_MAX || (head == 0 && len >= TF_HTTP_HEAD_MAX))
		return 431;
	if (head == 0)
		return 0;
	const char *end = memchr(text, '\n', head);
	size_t line = (size_t)(end - text);
	return request_line(text, line && text[line - 1] == '\r' ? line - 1 : line, out);
}

const char *tf_http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}
