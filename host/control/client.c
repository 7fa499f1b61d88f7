#include "control/client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "control/control.h"

enum { CLIENT_CHUNK = 16 << 10, CLIENT_MAX = 64 << 20 };

/* A connected socket, or a negative code. A process that stands still accepts nobody, and who comes when its line is full would
 * wait for ever: TF_ETIMEOUT after `timeout_ms`, 0: at once. */
static int client_connect(const char *path, unsigned timeout_ms, struct tf_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = 1000 * (timeout_ms % 1000)};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (timeout_ms ? 0 : SOCK_NONBLOCK), 0);
	if (fd < 0)
		return tf_err_sys(err, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int code = errno == ECONNREFUSED || errno == ENOENT ? TF_ECLOSED
		   : errno == EAGAIN                        ? TF_ETIMEOUT
							    : TF_ESYS;
	tf_err_sys(err, code == TF_ECLOSED ? "nobody listens at %s" : "%s", path);
	close(fd);
	if (err)
		err->code = code;
	return code;
}

static bool client_is_socket_of(const char *kind, const char *name)
{
	size_t n = strlen(kind), len = strlen(name);
	return !strncmp(name, kind, n) && name[n] == '-' && len > n + 6 && !strcmp(name + len - 5, ".sock");
}

int tf_control_find(const char *kind, char ***paths, struct tf_err *err)
{
	char *directory;
	size_t count = 0;
	*paths = tf_calloc(1, sizeof(**paths));
	int rc = tf_control_directory(false, &directory, err);
	if (rc == TF_ENOTFOUND)
		return 0;
	DIR *dir = rc == 0 ? opendir(directory) : NULL;
	if (rc == 0 && !dir)
		rc = tf_err_sys(err, "%s", directory);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		if (!client_is_socket_of(kind, e->d_name))
			continue;
		char *path = tf_asprintf("%s/%s", directory, e->d_name);
		int fd = client_connect(path, 0, NULL);
		if (fd >= 0)
			close(fd);
		if (fd == TF_ECLOSED)
			unlink(path);
		if (fd < 0 && fd != TF_ETIMEOUT) { /* its line is full, but it is there */
			free(path);
			continue;
		}
		*paths = tf_realloc(*paths, (count + 2) * sizeof(**paths));
		(*paths)[count++] = path;
		(*paths)[count] = NULL;
	}
	if (dir)
		closedir(dir);
	if (rc == 0)
		free(directory);
	else
		free(*paths);
	return rc;
}

static int client_send(int fd, const char *request, struct tf_err *err)
{
	char *line = tf_asprintf("%s\n", request);
	size_t len = strlen(line), sent = 0;
	int rc = 0;
	while (sent < len && rc == 0) {
		ssize_t n = send(fd, line + sent, len - sent, MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			rc = TF_ETIMEOUT;
		else if (errno != EINTR)
			rc = tf_err_sys(err, "asking");
	}
	free(line);
	return rc;
}

/* A line into `in`, without its end. TF_ETIMEOUT at `limit` (of the clock). */
static int client_receive(int fd, uint64_t limit, struct tf_buf *in, struct tf_err *err)
{
	while (!in->len || in->data[in->len - 1] != '\n') {
		uint64_t now = tf_clock_ms(&tf_clock_real);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int ready = now < limit ? poll(&wait, 1, (int)(limit - now)) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return TF_ETIMEOUT;
		tf_buf_reserve(in, CLIENT_CHUNK);
		ssize_t n = recv(fd, in->data + in->len, CLIENT_CHUNK, 0);
		if (n <= 0)
			return tf_err_set(err, TF_ECLOSED, "the other side ended before it answered");
		in->len += (size_t)n;
		if (in->len > CLIENT_MAX)
			return tf_err_set(err, TF_ELIMIT, "the answer is too long");
	}
	in->len--;
	return 0;
}

/* Member `what` of an answer: "result" or "event". */
static int client_read(
	const char *line, size_t len, const char *what, struct tf_value **result, struct tf_err *err)
{
	struct tf_json answer, v;
	int rc = tf_json_validate(line, len, 0, &answer, err);
	if (rc < 0)
		return tf_err_prefix(err, "the answer");
	if (tf_json_get(answer, "error", &v)) {
		char *text = tf_json_strdup(v, err);
		rc = tf_err_set(err, TF_ESTATE, "%s", text ? text : "refused");
		free(text);
		return rc;
	}
	if (!tf_json_get(answer, what, &v))
		return tf_err_set(err, TF_EFORMAT, "the answer has no %s", what);
	*result = tf_value_from(v);
	return 0;
}

int tf_control_ask(const char *path, const char *request, unsigned timeout_ms, struct tf_value **result,
	struct tf_err *err)
{
	struct tf_buf line = TF_BUF_INIT;
	uint64_t limit = tf_clock_ms(&tf_clock_real) + timeout_ms;
	int fd = client_connect(path, timeout_ms, err), rc = fd;
	if (fd >= 0)
		rc = client_send(fd, request, err);
	if (rc == 0)
		rc = client_receive(fd, limit, &line, err);
	if (rc == TF_ETIMEOUT)
		tf_err_set(err, TF_ETIMEOUT, "%s: no answer within %g s", path, timeout_ms / 1000.0);
	if (rc == 0)
		rc = client_read(line.data, line.len, "result", result, err);
	tf_buf_free(&line);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- events ---- */

struct tf_control_stream {
	int fd;
	bool ended;
	struct tf_buf in;
};

int tf_control_follow(const char *path, const char *request, unsigned timeout_ms,
	struct tf_control_stream **out, struct tf_err *err)
{
	int fd = client_connect(path, timeout_ms, err), rc = fd;
	if (fd >= 0)
		rc = client_send(fd, request, err);
	if (rc == TF_ETIMEOUT)
		tf_err_set(err, TF_ETIMEOUT, "%s: no answer within %g s", path, timeout_ms / 1000.0);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*out = TF_NEW(struct tf_control_stream);
	(*out)->fd = fd;
	return 0;
}

int tf_control_stream_fd(const struct tf_control_stream *s)
{
	return s->fd;
}

/* What has come, without waiting. */
static int stream_receive(struct tf_control_stream *s, struct tf_err *err)
{
	tf_buf_reserve(&s->in, CLIENT_CHUNK);
	ssize_t n = recv(s->fd, s->in.data + s->in.len, CLIENT_CHUNK, MSG_DONTWAIT);
	if (n > 0)
		s->in.len += (size_t)n;
	else if (n == 0)
		s->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		return tf_err_sys(err, "events");
	return s->in.len > CLIENT_MAX ? tf_err_set(err, TF_ELIMIT, "an event is too long") : 0;
}

int tf_control_stream_next(struct tf_control_stream *s, struct tf_value **event, struct tf_err *err)
{
	const char *end = s->in.len ? memchr(s->in.data, '\n', s->in.len) : NULL;
	int rc = end || s->ended ? 0 : stream_receive(s, err);
	if (rc < 0)
		return rc;
	if (!end && s->in.len)
		end = memchr(s->in.data, '\n', s->in.len);
	if (!end)
		return s->ended ? tf_err_set(err, TF_ECLOSED, "it has ended") : 0;
	size_t len = (size_t)(end - s->in.data);
	rc = client_read(s->in.data, len, "event", event, err);
	tf_buf_consume(&s->in, len + 1);
	return rc < 0 ? rc : 1;
}

void tf_control_stream_delete(struct tf_control_stream *s)
{
	if (!s)
		return;
	close(s->fd);
	tf_buf_free(&s->in);
	free(s);
}
