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
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/uuid.h"

enum { MAX_PAIRS = 256, PIECE = 65536, BUFFERED_MAX = PIECE * 4, DELAYED_MAX = 256 };

/* One way of a connection. */
struct stream {
	struct tf_buf data; /* to be forwarded */
	struct {
		size_t len;
		uint64_t due;  /* ms */
	} pieces[DELAYED_MAX]; /* of `data`, a ring */
	size_t first, count;
	uint64_t next; /* ms: no piece before, when sliced */
};

struct pair {
	int client, server; /* -1: closed */
	bool lost;
	struct tf_buf sent; /* by the client, all of it */
	struct stream up, down;
};

struct tcp_proxy {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener, port, target;
	int wake[2];
	bool stop, refuse, stall;
	unsigned delay, jitter;
	size_t slice;
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
	tf_buf_free(&x->up.data);
	tf_buf_free(&x->down.data);
	x->up = x->down = (struct stream){0};
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
	if (p->refuse) {
		reset(&client);
		return;
	}
	TF_ASSERT(p->count < MAX_PAIRS);
	*x = (struct pair){.client = client, .server = -1};
	p->count++;
	x->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (x->server < 0 || connect(x->server, (struct sockaddr *)&to, sizeof(to)) < 0) {
		cut(x);
		return;
	}
	fcntl(x->client, F_SETFL, O_NONBLOCK);
	fcntl(x->server, F_SETFL, O_NONBLOCK);
}

static uint64_t now_ms(void)
{
	return tf_clock_ms(&tf_clock_real);
}

static bool has_room(const struct stream *s)
{
	return s->data.len < BUFFERED_MAX && s->count < DELAYED_MAX;
}

/* Until the stream may send: ms; 0: now; -1: it has nothing. */
static int wait_of(const struct stream *s)
{
	const uint64_t now = now_ms(), due = s->count ? s->pieces[s->first].due : 0;
	const uint64_t at = due > s->next ? due : s->next;

	if (s->count == 0)
		return -1;
	return at > now ? (int)(at - now) : 0;
}

/* False: the connection is gone. */
static bool pull(struct tcp_proxy *p, int fd, struct stream *into, size_t *got)
{
	char piece[PIECE];
	ssize_t n = read(fd, piece, sizeof(piece));
	const size_t at = (into->first + into->count) % DELAYED_MAX;
	uint64_t due = now_ms() + p->delay + (p->jitter ? tf_random(p->jitter + 1) : 0);

	*got = 0;
	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	tf_buf_append(&into->data, piece, (size_t)n);
	if (into->count && due < into->pieces[(at + DELAYED_MAX - 1) % DELAYED_MAX].due)
		due = into->pieces[(at + DELAYED_MAX - 1) % DELAYED_MAX].due;
	into->pieces[at].len = (size_t)n;
	into->pieces[at].due = due;
	into->count++;
	*got = (size_t)n;
	return true;
}

static bool push(struct tcp_proxy *p, int fd, struct stream *from)
{
	size_t len;
	ssize_t n;

	while (wait_of(from) == 0) {
		len = from->pieces[from->first].len;
		if (p->slice && len > p->slice)
			len = p->slice;
		n = send(fd, from->data.data, len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		tf_buf_consume(&from->data, (size_t)n);
		from->pieces[from->first].len -= (size_t)n;
		if (from->pieces[from->first].len == 0) {
			from->first = (from->first + 1) % DELAYED_MAX;
			from->count--;
		}
		if (p->slice)
			from->next = now_ms() + 1;
		if ((size_t)n < len)
			break;
	}
	return true;
}

/* Drop the end of what was read last. */
static void unread(struct stream *s, size_t n)
{
	s->data.len -= n;
	s->pieces[(s->first + s->count - 1) % DELAYED_MAX].len -= n;
}

static void forward(struct tcp_proxy *p, struct pair *x)
{
	size_t got;

	if (x->client < 0 || x->lost)
		return;
	if (has_room(&x->up)) {
		if (!pull(p, x->client, &x->up, &got)) {
			push(p, x->server, &x->up);
			cut(x);
			return;
		}
		tf_buf_append(&x->sent, x->up.data.data + x->up.data.len - got, got);
		p->counted += got;
		if (p->cut_after && p->counted >= p->cut_after) {
			unread(&x->up, got < p->counted - p->cut_after ? got : p->counted - p->cut_after);
			push(p, x->server, &x->up);
			p->cut_after = 0;
			cut(x);
			return;
		}
	}
	if (has_room(&x->down) && !pull(p, x->server, &x->down, &got)) {
		push(p, x->client, &x->down);
		close(x->client); /* not reset: the client shall read what was last sent */
		x->client = -1;
		cut(x);
		return;
	}
	if (!push(p, x->server, &x->up) || !push(p, x->client, &x->down))
		cut(x);
}

/* What to wait for on an end that `in` is read from and `out` goes to; *ms: until when at most. */
static struct pollfd interest(int fd, const struct stream *in, const struct stream *out, int *ms)
{
	const int wait = wait_of(out);

	if (wait > 0 && (*ms < 0 || wait < *ms))
		*ms = wait;
	return (struct pollfd){
		.fd = fd, .events = (short)((has_room(in) ? POLLIN : 0) | (wait == 0 ? POLLOUT : 0))};
}

static void *proxy_main(void *arg)
{
	struct tcp_proxy *p = arg;
	struct pollfd fds[2 + 2 * MAX_PAIRS];
	char drain[64];
	size_t i, n;
	int ms;

	for (;;) {
		pthread_mutex_lock(&p->lock);
		if (p->stop)
			break;
		fds[0] = (struct pollfd){.fd = p->listener, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
		n = 2;
		ms = -1;
		for (i = 0; i < p->count && !p->stall; i++) {
			struct pair *x = &p->pairs[i];

			if (x->client < 0 || x->lost)
				continue;
			fds[n++] = interest(x->client, &x->up, &x->down, &ms);
			fds[n++] = interest(x->server, &x->down, &x->up, &ms);
		}
		pthread_mutex_unlock(&p->lock);
		poll(fds, n, ms);
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

void tcp_proxy_lose(struct tcp_proxy *p)
{
	size_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->count; i++)
		p->pairs[i].lost = true;
	wake_and_unlock(p);
}

void tcp_proxy_delay(struct tcp_proxy *p, unsigned ms, unsigned jitter)
{
	pthread_mutex_lock(&p->lock);
	p->delay = ms;
	p->jitter = jitter;
	wake_and_unlock(p);
}

void tcp_proxy_slice(struct tcp_proxy *p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->slice = bytes;
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
