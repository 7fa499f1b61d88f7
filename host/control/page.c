#include "control/page.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/door.h"
#include "control/http_request.h"

enum {
	PAGE_BACKLOG = 16,
	PAGE_CHUNK = 2048,
	PAGE_LOOK_MS = 250, /* between two looks for those whose time is over */
	PAGE_HOST_MAX = 256,
};

struct client {
	TAILQ_ENTRY(client) link;
	struct tf_page *page;
	int fd;
	struct tf_io *io;
	uint64_t until;
	bool answered; /* what follows is read away: closing at once could cut off the answer */
	struct tf_buf in, out;
	size_t sent;
};

struct tf_page {
	struct tf_loop *loop;
	struct tf_page_config config;
	char *url;
	struct tf_door *door;
	struct tf_timer *timer;
	TAILQ_HEAD(, client) clients; /* oldest first */
	unsigned count;
};

static uint64_t now_ms(const struct tf_page *p)
{
	return tf_clock_ms(tf_loop_clock(p->loop));
}

static void client_delete(struct client *c)
{
	TAILQ_REMOVE(&c->page->clients, c, link);
	c->page->count--;
	tf_io_delete(c->io);
	close(c->fd);
	tf_buf_free(&c->in);
	tf_buf_free(&c->out);
	free(c);
}

static void on_timer(void *arg)
{
	struct tf_page *p = arg;
	struct client *c;
	uint64_t now = now_ms(p);
	while ((c = TAILQ_FIRST(&p->clients)) != NULL && c->until <= now)
		client_delete(c);
	if (p->count == 0)
		tf_timer_stop(p->timer);
}

/* ---- answers ---- */

static void put_page(struct client *c, const struct tf_http_request *r, int *status, struct tf_buf *body)
{
	if (r->path_len == 8 && !memcmp(r->path, "/metrics", 8))
		c->page->config.write(c->page->config.arg, body);
	else if (r->path_len == 1)
		tf_buf_puts(body, "tfhost: /metrics\n");
	else
		*status = 404;
}

static void answer(struct client *c, const struct tf_http_request *r, int status)
{
	struct tf_buf body = TF_BUF_INIT;
	if (status == 200)
		put_page(c, r, &status, &body);
	if (status != 200)
		tf_buf_printf(&body, "%d %s\n", status, tf_http_reason(status));
	tf_buf_printf(&c->out,
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: "
		"%zu\r\n%s"
		"Connection: close\r\n\r\n",
		status, tf_http_reason(status), body.len, status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (!r->head && body.len)
		tf_buf_append(&c->out, body.data, body.len);
	tf_buf_free(&body);
	tf_buf_free(&c->in);
	c->answered = true;
}

/* Send what goes. False: the client is gone. */
static bool client_flush(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n =
			send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			client_delete(c);
			return false;
		}
		if (n < 0)
			break;
		c->sent += (size_t)n;
	}
	bool all = c->answered && c->sent == c->out.len;
	if (all && c->out.len) {
		tf_buf_free(&c->out);
		c->sent = 0;
		shutdown(c->fd, SHUT_WR);
	}
	tf_io_watch(c->io, TF_IO_READ | (c->sent < c->out.len ? TF_IO_WRITE : 0));
	return true;
}

/* False: it has nothing more to say, or is gone. */
static bool client_read(struct client *c)
{
	char chunk[PAGE_CHUNK];
	struct tf_http_request r = {0};
	ssize_t n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	if (n == 0 || c->answered)
		return n > 0;
	tf_buf_append(&c->in, chunk, (size_t)n);
	int status = tf_http_request(c->in.data, c->in.len, &r);
	if (status)
		answer(c, &r, status);
	return true;
}

static void client_io(void *arg, int events)
{
	struct client *c = arg;
	if ((events & TF_IO_READ) && !client_read(c)) {
		if (c->sent == c->out.len)
			client_delete(c);
		else
			tf_io_watch(c->io, TF_IO_WRITE); /* it reads on, perhaps */
		return;
	}
	client_flush(c);
}

static void page_entered(void *arg, int fd)
{
	struct tf_page *p = arg;
	if (p->count >= TF_PAGE_CLIENTS) {
		close(fd);
		return;
	}
	struct client *c = TF_NEW(struct client);
	c->page = p;
	c->fd = fd;
	c->until = now_ms(p) + p->config.patience_ms;
	c->io = tf_io_new(p->loop, fd, client_io, c);
	TAILQ_INSERT_TAIL(&p->clients, c, link);
	if (p->count++ == 0)
		tf_timer_start(p->timer, PAGE_LOOK_MS, PAGE_LOOK_MS);
	tf_io_watch(c->io, TF_IO_READ);
}

/* ---- life ---- */

/* "[HOST:]PORT" */
static int split(const char *address, char host[PAGE_HOST_MAX], const char **port, struct tf_err *err)
{
	const char *colon = strrchr(address, ':'), *from = address;
	size_t len = colon ? (size_t)(colon - address) : 0;
	*port = colon ? colon + 1 : address;
	snprintf(host, PAGE_HOST_MAX, "127.0.0.1");
	bool digits = **port && strspn(*port, "0123456789") == strlen(*port) && atol(*port) <= 65535;
	if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
		from++;
		len -= 2;
	}
	if (!digits || (colon && len == 0) || len >= PAGE_HOST_MAX)
		return tf_err_set(err, TF_EINVAL,
			"metrics: \"%s\" is no address: expected PORT or HOST:PORT, as 9464 or 0.0.0.0:9464",
			address);
	if (colon)
		snprintf(host, PAGE_HOST_MAX, "%.*s", (int)len, from);
	return 0;
}

static int listen_at(const struct addrinfo *where, const char *address, struct tf_err *err)
{
	int on = 1;
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, where->ai_addr, where->ai_addrlen) < 0 || listen(fd, PAGE_BACKLOG) < 0) {
		tf_err_sys(err, "metrics: cannot listen at %s (port 0 takes a free one)", address);
		if (fd >= 0)
			close(fd);
		return TF_EIO;
	}
	return fd;
}

static char *url_of(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
	if (getsockname(fd, (struct sockaddr *)&own, &len) == 0)
		getnameinfo((struct sockaddr *)&own, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV);
	return tf_asprintf(strchr(host, ':') ? "http://[%s]:%s/metrics" : "http://%s:%s/metrics", host, port);
}

int tf_page_new(
	struct tf_loop *loop, const struct tf_page_config *config, struct tf_page **out, struct tf_err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	char host[PAGE_HOST_MAX];
	const char *port;
	int rc = split(config->address, host, &port, err);
	if (rc < 0)
		return rc;
	int status = getaddrinfo(host, port, &hints, &found);
	if (status)
		return tf_err_set(err, TF_EINVAL, "metrics: %s: %s", config->address, gai_strerror(status));
	int fd = listen_at(found, config->address, err);
	freeaddrinfo(found);
	if (fd < 0)
		return fd;
	struct tf_page *p = TF_NEW(struct tf_page);
	p->loop = loop;
	p->config = *config;
	p->config.address = NULL; /* the caller's */
	if (!p->config.patience_ms)
		p->config.patience_ms = TF_PAGE_MS;
	TAILQ_INIT(&p->clients);
	p->url = url_of(fd);
	p->timer = tf_timer_new(loop, on_timer, p);
	p->door = tf_door_new(loop, fd, "metrics", p->url, page_entered, p);
	tf_info("metrics", "at %s", p->url);
	*out = p;
	return 0;
}

const char *tf_page_url(const struct tf_page *p)
{
	return p->url;
}

void tf_page_delete(struct tf_page *p)
{
	struct client *c;
	if (!p)
		return;
	while ((c = TAILQ_FIRST(&p->clients)) != NULL)
		client_delete(c);
	tf_door_delete(p->door);
	tf_timer_delete(p->timer);
	free(p->url);
	free(p);
}
