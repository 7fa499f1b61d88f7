#include "tcp_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum { MAX_PAIRS = 64, PIECE = 65536 };

struct pair {
	int client, server;     /* -1: closed */
	struct tf_buf sent;     /* by the client, all of it */
	struct tf_buf up, down; /* to be forwarded */
};

struct tcp_proxy {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener, port, target;
	int wake[2];
	bool stop, refuse, stall;
	size_t cut_after, counted;
	struct pair pairs[MAX_PAIRS];
	size_t count;
};

static void reset(int *fd)
{
	const struct linger rst = {.l_onoff = 1, .l_linger = 0};

	if (*fd < 0)
		return;
	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	close(*fd);
	*fd = -1;
}

static void cut(struct pair *x)
{
	reset(&x->client);
	reset(&x->server);
	tf_buf_free(&x->up);
	tf_buf_free(&x->down);
}

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void take(struct tcp_proxy *p)
{
	struct sockaddr_in to = local(p->target);
	struct pair *x = &p->pairs[p->count];
	int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

	if (client < 0)
		return;
	TF_ASSERT(p->count < MAX_PAIRS);
	*x = (struct pair){.client = client, .server = -1};
	p->count++;
	if (!p->refuse)
		x->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (x->server < 0 || connect(x->server, (struct sockaddr *)&to, sizeof(to)) < 0) {
		cut(x);
		return;
	}
	fcntl(x->client, F_SETFL, O_NONBLOCK);
	fcntl(x->server, F_SETFL, O_NONBLOCK);
}

/* False: the connection is gone. */
static bool pull(int fd, struct tf_buf *into, size_t *got)
{
	char piece[PIECE];
	ssize_t n = read(fd, piece, sizeof(piece));

	*got = 0;
	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	tf_buf_append(into, piece, (size_t)n);
	*got = (size_t)n;
	return true;
}

static bool push(int fd, struct tf_buf *from)
{
	ssize_t n;

	if (from->len == 0)
		return true;
	n = send(fd, from->data, from->len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN;
	tf_buf_consume(from, (size_t)n);
	return true;
}

static void forward(struct tcp_proxy *p, struct pair *x)
{
	size_t got;

	if (x->client < 0)
		return;
	if (x->up.len < PIECE * 4) {
		if (!pull(x->client, &x->up, &got)) {
			push(x->server, &x->up);
			cut(x);
			return;
		}
		tf_buf_append(&x->sent, x->up.data + x->up.len - got, got);
		p->counted += got;
		if (p->cut_after && p->counted >= p->cut_after) {
			x->up.len -= got < p->counted - p->cut_after ? got : p->counted - p->cut_after;
			push(x->server, &x->up);
			p->cut_after = 0;
			cut(x);
			return;
		}
	}
	if (x->down.len < PIECE * 4 && !pull(x->server, &x->down, &got)) {
		push(x->client, &x->down);
		close(x->client); /* not reset: the client shall read what was last sent */
		x->client = -1;
		cut(x);
		return;
	}
	if (!push(x->server, &x->up) || !push(x->client, &x->down))
		cut(x);
}

static void *proxy_main(void *arg)
{
	struct tcp_proxy *p = arg;
	struct pollfd fds[2 + 2 * MAX_PAIRS];
	char drain[64];
	size_t i, n;

	for (;;) {
		pthread_mutex_lock(&p->lock);
		if (p->stop)
			break;
		fds[0] = (struct pollfd){.fd = p->listener, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
		n = 2;
		for (i = 0; i < p->count && !p->stall; i++) {
			struct pair *x = &p->pairs[i];
			short in_up = x->up.len < PIECE * 4 ? POLLIN : 0;
			short in_down = x->down.len < PIECE * 4 ? POLLIN : 0;

			if (x->client < 0)
				continue;
			fds[n++] = (struct pollfd){
				.fd = x->client, .events = (short)(in_up | (x->down.len ? POLLOUT : 0))};
			fds[n++] = (struct pollfd){
				.fd = x->server, .events = (short)(in_down | (x->up.len ? POLLOUT : 0))};
		}
		pthread_mutex_unlock(&p->lock);
		poll(fds, n, -1);
		pthread_mutex_lock(&p->lock);
		if (fds[1].revents && read(p->wake[0], drain, sizeof(drain)) < 0)
			drain[0] = 0;
		if (fds[0].revents)
			take(p);
		for (i = 0; i < p->count && !p->stall; i++)
			forward(p, &p->pairs[i]);
		pthread_mutex_unlock(&p->lock);
	}
	for (i = 0; i < p->count; i++)
		cut(&p->pairs[i]);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct tcp_proxy *tcp_proxy_new(int port)
{
	struct tcp_proxy *p = TF_NEW(struct tcp_proxy);
	struct sockaddr_in a = local(0);
	socklen_t len = sizeof(a);
	sigset_t all, before;

	p->target = port;
	pthread_mutex_init(&p->lock, NULL);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	TF_ASSERT(p->listener >= 0 && bind(p->listener, (struct sockaddr *)&a, sizeof(a)) == 0);
	TF_ASSERT(listen(p->listener, 16) == 0);
	TF_ASSERT(getsockname(p->listener, (struct sockaddr *)&a, &len) == 0);
	p->port = ntohs(a.sin_port);
	TF_ASSERT(pipe2(p->wake, O_CLOEXEC) == 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	TF_ASSERT(pthread_create(&p->thread, NULL, proxy_main, p) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return p;
}

int tcp_proxy_port(const struct tcp_proxy *p)
{
	return p->port;
}

/* Call with the lock held; releases it. */
static void wake_and_unlock(struct tcp_proxy *p)
{
	TF_ASSERT(write(p->wake[1], "", 1) == 1);
	pthread_mutex_unlock(&p->lock);
}

void tcp_proxy_delete(struct tcp_proxy *p)
{
	size_t i;

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	wake_and_unlock(p);
	pthread_join(p->thread, NULL);
	for (i = 0; i < p->count; i++)
		tf_buf_free(&p->pairs[i].sent);
	close(p->listener);
	close(p->wake[0]);
	close(p->wake[1]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void tcp_proxy_cut(struct tcp_proxy *p)
{
	size_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->count; i++)
		cut(&p->pairs[i]);
	wake_and_unlock(p);
}

void tcp_proxy_refuse(struct tcp_proxy *p, bool refuse)
{
	pthread_mutex_lock(&p->lock);
	p->refuse = refuse;
	wake_and_unlock(p);
}

void tcp_proxy_stall(struct tcp_proxy *p, bool stall)
{
	pthread_mutex_lock(&p->lock);
	p->stall = stall;
	wake_and_unlock(p);
}

void tcp_proxy_cut_after(struct tcp_proxy *p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->cut_after = bytes;
	p->counted = 0;
	wake_and_unlock(p);
}

size_t tcp_proxy_accepted(struct tcp_proxy *p)
{
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = p->count;
	pthread_mutex_unlock(&p->lock);
	return n;
}

char *tcp_proxy_sent(struct tcp_proxy *p, size_t i, size_t *len)
{
	char *copy = NULL;

	pthread_mutex_lock(&p->lock);
	if (i < p->count) {
		*len = p->pairs[i].sent.len;
		copy = tf_malloc(*len + 1);
		if (*len)
			memcpy(copy, p->pairs[i].sent.data, *len);
		copy[*len] = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return copy;
}
