#include "transport/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

enum { MAX_URL = 4096, MAX_URLS = 64 };

static const struct scheme {
	const char *name, *canonical;
	int port; /* 0: the URL has a path instead of host and vhost */
} SCHEMES[] = {
	{"amqp", "amqp", 5672},
	{"amqps", "amqps", 5671},
	{"pyamqp", "amqp", 5672},
	{"librabbitmq", "amqp", 5672},
	{"memory", "memory", 0},
	{"filesystem", "filesystem", 0},
};

struct span {
	const char *at;
	size_t len;
};

static struct span span_until(struct span s, const char *stops)
{
	size_t n = 0;

	while (n < s.len && !strchr(stops, s.at[n]))
		n++;
	return (struct span){s.at, n};
}

static struct span span_from(struct span s, size_t n)
{
	return (struct span){s.at + n, s.len - n};
}

static const struct scheme *scheme_find(struct span name, struct tf_err *err)
{
	size_t i;

	for (i = 0; i < sizeof(SCHEMES) / sizeof(*SCHEMES); i++)
		if (strlen(SCHEMES[i].name) == name.len &&
			strncasecmp(SCHEMES[i].name, name.at, name.len) == 0)
			return &SCHEMES[i];
	tf_err_set(err, TF_EINVAL,
		"unknown transport \"%.*s\": use amqp, amqps, pyamqp, librabbitmq, memory or filesystem",
		(int)(name.len > 40 ? 40 : name.len), name.at);
	return NULL;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Percent-decoded copy; like Python's, a '%' without two digits stands for itself.
 * `fallback` when there is nothing. */
static int decode(struct span s, const char *part, const char *fallback, char **out, struct tf_err *err)
{
	struct tf_buf b = TF_BUF_INIT;
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '%' && i + 2 < s.len && isxdigit((unsigned char)s.at[i + 1]) &&
			isxdigit((unsigned char)s.at[i + 2])) {
			c = (char)(hex(s.at[i + 1]) << 4 | hex(s.at[i + 2]));
			i += 2;
		}
		if (c == 0) {
			tf_buf_free(&b);
			return tf_err_set(err, TF_EINVAL, "URL: the %s contains a NUL byte", part);
		}
		tf_buf_putc(&b, c);
	}
	*out = b.len ? tf_buf_steal(&b) : tf_strdup(fallback);
	tf_buf_free(&b);
	return 0;
}

static int parse_port(struct span s, int fallback, int *out, struct tf_err *err)
{
	long port = 0;
	size_t i;

	*out = fallback;
	if (s.len == 0)
		return 0;
	for (i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]) || port > 65535)
			break;
		port = port * 10 + s.at[i] - '0';
	}
	if (i < s.len || port < 1 || port > 65535)
		return tf_err_set(err, TF_EINVAL,
			"URL: the port must be a number from 1 to 65535 (is a ':', '/' or '@' "
			"of the password not percent-encoded?)");
	*out = (int)port;
	return 0;
}

/* user:password@host:port; the last '@' counts, as in Python. */
static int parse_authority(struct span s, int port, struct tf_url *u, struct tf_err *err)
{
	struct span user = {s.at, 0}, password = {s.at, 0}, host;
	size_t at = s.len;
	int rc;

	while (at > 0 && s.at[at - 1] != '@')
		at--;
	if (at > 0) {
		struct span info = {s.at, at - 1};

		user = span_until(info, ":");
		if (user.len < info.len)
			password = span_from(info, user.len + 1);
		s = span_from(s, at);
	}
	if (s.len && s.at[0] == '[') {
		host = span_until(span_from(s, 1), "]");
		if (host.len + 2 > s.len)
			return tf_err_set(err, TF_EINVAL, "URL: '[' of the host has no ']'");
		s = span_from(s, host.len + 2);
		if (s.len && s.at[0] != ':')
			return tf_err_set(err, TF_EINVAL, "URL: only a port may follow the host's ']'");
	} else {
		host = span_until(s, ":");
		s = span_from(s, host.len);
	}
	rc = parse_port(s.len ? span_from(s, 1) : s, port, &u->port, err);
	if (rc == 0)
		rc = decode(host, "host", "localhost", &u->host, err);
	if (rc == 0)
		rc = decode(user, "user", "guest", &u->user, err);
	if (rc == 0)
		rc = decode(password, "password", "guest", &u->password, err);
	return rc;
}

static int parse_rest(struct span s, const struct scheme *scheme, struct tf_url *u, struct tf_err *err)
{
	struct span head, path;
	int rc = 0;

	u->scheme = tf_strdup(scheme->canonical);
	head = span_until(s, scheme->port ? "/?#" : "?");
	if (scheme->port)
		rc = parse_authority(head, scheme->port, u, err);
	else
		rc = decode(head, "path", "", &u->path, err);
	if (rc < 0)
		return rc;
	s = span_from(s, head.len);
	path = span_until(s, "?#");
	if (scheme->port)
		rc = decode(path.len ? span_from(path, 1) : path, "vhost", "/", &u->vhost, err);
	s = span_from(s, path.len);
	if (rc == 0 && s.len && s.at[0] == '?') {
		s = span_until(span_from(s, 1), "#");
		u->query = tf_strndup(s.at, s.len);
	}
	return rc;
}

static int parse_one(struct span s, const char *transport, struct tf_url *u, struct tf_err *err)
{
	struct span name = {transport, transport ? strlen(transport) : 0};
	const struct scheme *scheme;
	const char *colon = memmem(s.at, s.len, "://", 3);

	if (s.len > MAX_URL)
		return tf_err_set(
			err, TF_ELIMIT, "URL has %zu bytes, at most %d are allowed", s.len, MAX_URL);
	/* "://" may also be part of a password: a scheme consists of letters. */
	if (colon && span_until(s, ":/@").len == (size_t)(colon - s.at)) {
		name = (struct span){s.at, (size_t)(colon - s.at)};
		s = span_from(s, name.len + 3);
	} else if (!transport) {
		name = (struct span){"amqp", 4};
	}
	scheme = scheme_find(name, err);
	return scheme ? parse_rest(s, scheme, u, err) : TF_EINVAL;
}

static struct span trim(struct span s)
{
	while (s.len && isspace((unsigned char)*s.at))
		s = span_from(s, 1);
	while (s.len && isspace((unsigned char)s.at[s.len - 1]))
		s.len--;
	return s;
}

/* The URL when none is given. */
static const char *default_url(const char *transport)
{
	struct span name = {transport, transport ? strlen(transport) : 0};
	const struct scheme *scheme = transport ? scheme_find(name, NULL) : NULL;

	if (!transport || (scheme && strcmp(scheme->canonical, "amqp") == 0))
		return TF_URL_DEFAULT;
	return "";
}

int tf_url_parse_list(const char *text, const char *transport, struct tf_url_list *out, struct tf_err *err)
{
	struct span rest, item;
	int rc = 0;

	*out = (struct tf_url_list){0};
	if (!text || !*text)
		text = default_url(transport);
	rest = (struct span){text, strlen(text)};
	do {
		item = span_until(rest, ";");
		rest = span_from(rest, item.len < rest.len ? item.len + 1 : item.len);
		item = trim(item);
		if (item.len == 0 && (rest.len || out->count))
			continue;
		if (out->count == MAX_URLS) {
			rc = tf_err_set(err, TF_ELIMIT, "more than %d URLs in a fail-over list", MAX_URLS);
			break;
		}
		out->urls = tf_realloc(out->urls, (out->count + 1) * sizeof(*out->urls));
		memset(&out->urls[out->count], 0, sizeof(*out->urls));
		out->count++;
		rc = parse_one(item, transport, &out->urls[out->count - 1], err);
	} while (rc == 0 && rest.len);
	if (rc < 0)
		tf_url_list_free(out);
	return rc;
}

void tf_url_list_free(struct tf_url_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		struct tf_url *u = &list->urls[i];

		free(u->scheme);
		free(u->host);
		free(u->user);
		if (u->password)
			explicit_bzero(u->password, strlen(u->password));
		free(u->password);
		free(u->vhost);
		free(u->path);
		free(u->query);
	}
	free(list->urls);
	*list = (struct tf_url_list){0};
}

/* `keep`: what may stand for itself in this part of a URL, besides what always may. */
static void encode(struct tf_buf *b, const char *s, const char *keep)
{
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || strchr("-._~", *s) || strchr(keep, *s))
			tf_buf_putc(b, *s);
		else
			tf_buf_printf(b, "%%%02X", (unsigned char)*s);
}

char *tf_url_redact(const struct tf_url *u)
{
	struct tf_buf b = TF_BUF_INIT;

	tf_buf_printf(&b, "%s://", u->scheme);
	if (!u->host) {
		encode(&b, u->path, "/");
		return tf_buf_steal(&b);
	}
	encode(&b, u->user, "");
	tf_buf_puts(&b, ":**@");
	bool brackets = strchr(u->host, ':');
	tf_buf_puts(&b, brackets ? "[" : "");
	encode(&b, u->host, ":");
	tf_buf_puts(&b, brackets ? "]" : "");
	tf_buf_printf(&b, ":%d/", u->port);
	encode(&b, u->vhost, "/");
	return tf_buf_steal(&b);
}
