#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/door.h"

enum {
	CONTROL_BACKLOG = 16,
	CONTROL_CHUNK = 4096,
	CONTROL_MAX_OUT = 16 << 20, /* bytes of answers that a client has not read */
	CONTROL_MAX_CALLS = 64,     /* of one client, not answered */
};

struct client {
	TAILQ_ENTRY(client) link;
	struct tf_control *control;
	int fd;
	struct tf_io *io;
	struct tf_buf in, out;
	size_t sent;
	bool ended; /* it asks nothing more */
	LIST_HEAD(, tf_control_call) calls;
	unsigned call_count, streams; /* of them go on */
};

struct tf_control_call {
	LIST_ENTRY(tf_control_call) link;
	struct client *client;   /* NULL: it is gone */
	void (*gone)(void *arg); /* it goes on; or NULL */
	void *gone_arg;
};

struct tf_control {
	struct tf_loop *loop;
	const struct tf_command *const *commands;
	void *subject;
	char *path; /* owned */
	struct tf_door *door;
	TAILQ_HEAD(, client) clients;
	unsigned client_count;
};

static void client_delete(struct client *c)
{
	struct tf_control_call *call;
	while ((call = LIST_FIRST(&c->calls)) != NULL) {
		LIST_REMOVE(call, link);
		call->client = NULL;
		if (call->gone)
			call->gone(call->gone_arg);
	}
	TAILQ_REMOVE(&c->control->clients, c, link);
	c->control->client_count--;
	tf_io_delete(c->io);
	close(c->fd);
	tf_buf_free(&c->in);
	tf_buf_free(&c->out);
	free(c);
}

/* Send what goes. False: the client is gone. */
static bool client_flush(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n =
			send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			client_delete(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	if (c->sent == c->out.len) {
		c->sent = 0;
		tf_buf_reset(&c->out);
	}
	if (c->out.len - c->sent > CONTROL_MAX_OUT ||
		(c->ended && c->out.len == 0 && c->call_count == c->streams)) {
		client_delete(c);
		return false;
	}
	tf_io_watch(c->io, (c->ended ? 0 : TF_IO_READ) | (c->out.len ? TF_IO_WRITE : 0));
	return true;
}

/* ---- answers ---- */

static void call_end(struct tf_control_call *call, const char *before, const char *json)
{
	struct client *c = call->client;
	if (c) {
		LIST_REMOVE(call, link);
		c->call_count--;
		c->streams -= call->gone != NULL;
		tf_buf_printf(&c->out, "%s%s}\n", before, json);
		tf_io_watch(c->io, TF_IO_WRITE | (c->ended ? 0 : TF_IO_READ)); /* sent from the loop */
	}
	free(call);
}

void tf_control_answer(struct tf_control_call *call, const char *json)
{
	call_end(call, "{\"ok\": true, \"result\": ", json ? json : "null");
}

bool tf_control_tell(struct tf_control_call *call, const char *json, size_t len)
{
	struct client *c = call->client;
	if (!c || c->out.len - c->sent > TF_CONTROL_UNREAD)
		return false;
	tf_buf_puts(&c->out, "{\"ok\": true, \"event\": ");
	tf_buf_append(&c->out, json, len);
	tf_buf_puts(&c->out, "}\n");
	tf_io_watch(c->io, TF_IO_WRITE | (c->ended ? 0 : TF_IO_READ));
	return true;
}

void tf_control_go_on(struct tf_control_call *call, void (*gone)(void *arg), void *arg)
{
	TF_ASSERT(!call->gone && call->client);
	call->gone = gone;
	call->gone_arg = arg;
	call->client->streams++;
}

void tf_control_refuse(struct tf_control_call *call, const struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT;
	tf_json_write_string(&text, err->message, tf_utf8_valid_len(err->message, strlen(err->message)));
	call_end(call, "{\"ok\": false, \"error\": ", text.data);
	tf_buf_free(&text);
}

/* ---- questions ---- */

static void run_help(const struct tf_control *c, struct tf_control_call *call)
{
	struct tf_buf text = TF_BUF_INIT;
	for (const struct tf_command *const *p = c->commands; *p; p++) {
		tf_buf_puts(&text, text.len ? ", " : "{");
		tf_json_write_string(&text, (*p)->name, strlen((*p)->name));
		tf_buf_puts(&text, ": ");
		tf_json_write_string(&text, (*p)->help, strlen((*p)->help));
	}
	tf_buf_puts(&text, text.len ? "}" : "{}");
	tf_control_answer(call, text.data);
	tf_buf_free(&text);
}

static void run_line(struct client *c, const char *line, size_t len)
{
	struct tf_err err = {0};
	struct tf_json request, command;
	struct tf_control *control = c->control;
	struct tf_control_call *call = TF_NEW(struct tf_control_call);
	call->client = c;
	LIST_INSERT_HEAD(&c->calls, call, link);
	c->call_count++;
	if (tf_json_validate(line, len, 0, &request, &err) < 0) {
		tf_err_prefix(&err, "no JSON");
	} else if (!tf_json_get(request, "command", &command) || tf_json_type(command) != TF_JSON_STRING) {
		tf_err_set(&err, TF_EFORMAT, "expected an object with \"command\"");
	} else if (c->call_count > CONTROL_MAX_CALLS) {
		tf_err_set(&err, TF_ELIMIT, "more than %d commands wait", CONTROL_MAX_CALLS);
	} else if (tf_json_string_is(command, "help")) {
		run_help(control, call);
		return;
	} else {
		for (const struct tf_command *const *p = control->commands; *p; p++) {
			if (tf_json_string_is(command, (*p)->name)) {
				(*p)->run(control->subject, request, call);
				return;
			}
		}
		tf_err_set(&err, TF_ENOTFOUND, "unknown command %.*s: \"help\" lists them",
			command.len < 100 ? (int)command.len : 100, command.text);
	}
	tf_control_refuse(call, &err);
}

static void client_take_lines(struct client *c)
{
	char *end;
	size_t at = 0;
	while (at < c->in.len && (end = memchr(c->in.data + at, '\n', c->in.len - at)) != NULL) {
		size_t len = (size_t)(end - (c->in.data + at));
		if (len > 0)
			run_line(c, c->in.data + at, len);
		at += len + 1;
	}
	tf_buf_consume(&c->in, at);
}

static void client_io(void *arg, int events)
{
	struct client *c = arg;
	if (events & TF_IO_READ) {
		tf_buf_reserve(&c->in, CONTROL_CHUNK);
		ssize_t n = recv(c->fd, c->in.data + c->in.len, CONTROL_CHUNK, MSG_DONTWAIT);
		if (n > 0)
			c->in.len += (size_t)n;
		else if (n == 0)
			c->ended = true;
		else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
			client_delete(c);
			return;
		}
		client_take_lines(c);
		if (c->in.len > TF_CONTROL_MAX_LINE) {
			client_delete(c);
			return;
		}
	}
	client_flush(c);
}

/* The directory keeps others out; who got in all the same is told apart here. */
static bool is_welcome(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == geteuid() || who.uid == 0);
}

static void control_entered(void *arg, int fd)
{
	struct tf_control *control = arg;
	if (control->client_count >= TF_CONTROL_CLIENTS || !is_welcome(fd)) {
		close(fd);
		return;
	}
	struct client *c = TF_NEW(struct client);
	c->control = control;
	c->fd = fd;
	LIST_INIT(&c->calls);
	TAILQ_INSERT_TAIL(&control->clients, c, link);
	control->client_count++;
	c->io = tf_io_new(control->loop, fd, client_io, c);
	tf_io_watch(c->io, TF_IO_READ);
}

/* ---- life ---- */

int tf_control_directory(bool make, char **out, struct tf_err *err)
{
	const char *own = getenv("TFHOST_CONTROL_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	char *path = own && *own           ? tf_strdup(own)
		     : runtime && *runtime ? tf_asprintf("%s/tfhost", runtime)
					   : tf_asprintf("/tmp/tfhost-%u", (unsigned)geteuid());
	int rc = 0;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = tf_err_sys(err, "cannot make %s for the control socket", path);
	else if (lstat(path, &st) < 0)
		rc = make || errno != ENOENT ? tf_err_sys(err, "%s", path)
					     : tf_err_set(err, TF_ENOTFOUND, "%s does not exist", path);
	else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0077))
		rc = tf_err_set(err, TF_EAUTH,
			"%s must be a directory of this user that is closed to others (mode 0700)", path);
	if (rc < 0) {
		free(path);
		return rc;
	}
	*out = path;
	return 0;
}

static int listen_at(const char *path, struct tf_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return tf_err_set(err, TF_EINVAL, "control socket %s: the path is longer than %zu bytes",
			path, sizeof(address.sun_path) - 1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tf_err_sys(err, "socket");
	unlink(path); /* of a process that had our number, and died */
	mode_t before = umask(0177);
	int rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (rc < 0 || listen(fd, CONTROL_BACKLOG) < 0) {
		rc = tf_err_sys(err, "control socket %s", path);
		close(fd);
		return rc;
	}
	return fd;
}

int tf_control_new(struct tf_loop *loop, const char *kind, const char *path,
	const struct tf_command *const *commands, void *subject, struct tf_control **out, struct tf_err *err)
{
	char *full, *directory = NULL;
	if (path) {
		full = tf_strdup(path);
	} else {
		int rc = tf_control_directory(true, &directory, err);
		if (rc < 0)
			return rc;
		full = tf_asprintf("%s/%s-%ld.sock", directory, kind, (long)getpid());
		free(directory);
	}
	int fd = listen_at(full, err);
	if (fd < 0) {
		free(full);
		return fd;
	}
	struct tf_control *c = TF_NEW(struct tf_control);
	*c = (struct tf_control){.loop = loop, .commands = commands, .subject = subject, .path = full};
	TAILQ_INIT(&c->clients);
	c->door = tf_door_new(loop, fd, "control", full, control_entered, c);
	*out = c;
	return 0;
}

const char *tf_control_path(const struct tf_control *c)
{
	return c->path;
}

void tf_control_delete(struct tf_control *c)
{
	struct client *client;
	if (!c)
		return;
	while ((client = TAILQ_FIRST(&c->clients)) != NULL) {
		if (client_flush(client))
			client_delete(client);
	}
	tf_door_delete(c->door);
	unlink(c->path);
	free(c->path);
	free(c);
}
