#include "control/page.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exposition.h"
#include "base/mem.h"
#include "control/http_request.h"
#include "test/cmocka_all.h"

/* A page on a loop of its own, and clients in the same thread. */
struct rig {
	struct tf_loop *loop;
	struct tf_page *page;
	struct tf_timer *alarm;
	size_t bytes; /* of the page */
	unsigned written;
	uint16_t port;
};

static void write_page(void *arg, struct tf_buf *out)
{
	struct rig *r = arg;
	r->written++;
	tf_expose_gauge(out, "x", "An x.", 1);
	while (out->len < r->bytes)
		tf_buf_printf(out, "# %065530d\n", 0);
}

static void on_alarm(void *arg)
{
	(void)arg;
}

static void rig_open(struct rig *r, uint64_t patience_ms)
{
	struct tf_err err;
	*r = (struct rig){.loop = tf_loop_new()};
	const struct tf_page_config config = {
		.address = "0", .write = write_page, .arg = r, .patience_ms = patience_ms};
	assert_int_equal(tf_page_new(r->loop, &config, &r->page, &err), 0);
	unsigned port;
	assert_int_equal(sscanf(tf_page_url(r->page), "http://127.0.0.1:%u/metrics", &port), 1);
	r->port = (uint16_t)port;
	r->alarm = tf_timer_new(r->loop, on_alarm, NULL);
	tf_timer_start(r->alarm, 5, 5);
}

static void rig_close(struct rig *r)
{
	tf_timer_delete(r->alarm);
	tf_page_delete(r->page);
	tf_loop_delete(r->loop);
}

static int client(const struct rig *r)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(r->port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void turn(struct rig *r, unsigned times)
{
	while (times--)
		tf_loop_turn(r->loop, true);
}

/* What comes until the end of the stream; -1 in *end: it was cut off. Caller frees. */
static char *drain(struct rig *r, int fd, ssize_t *end)
{
	struct tf_buf got = TF_BUF_INIT;
	char chunk[4096];
	tf_buf_puts(&got, "");
	for (int i = 0; i < 4000; i++) {
		*end = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (*end > 0)
			tf_buf_append(&got, chunk, (size_t)*end);
		else if (*end == 0 || errno != EAGAIN)
			break;
		else
			turn(r, 1);
	}
	close(fd);
	return tf_buf_steal(&got);
}

static char *ask(struct rig *r, const char *request)
{
	ssize_t end;
	int fd = client(r);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	char *got = drain(r, fd, &end);
	assert_int_equal(end, 0);
	return got;
}

static void expect(struct rig *r, const char *request, const char *begin)
{
	char *got = ask(r, request);
	if (strncmp(got, begin, strlen(begin)) != 0)
		fail_msg("%s\nis answered by\n%s", request, got);
	free(got);
}

static void requests_get_their_status(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r, 0);
	char *got = ask(&r, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(
		strstr(got, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(got, "\r\n\r\n# HELP x An x.\n# TYPE x gauge\nx 1\n"));
	free(got);
	got = ask(&r, "HEAD /metrics?x=y HTTP/1.0\n\n");
	assert_non_null(strstr(got, "Content-Length: 34\r\n"));
	assert_string_equal(got + strlen(got) - 4, "\r\n\r\n");
	free(got);
	unsigned written = r.written;
	expect(&r, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 ");
	expect(&r, "GET /metric HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
	expect(&r, "GET /metrics/../etc HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
	expect(&r, "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ");
	expect(&r, "GET /metrics HTTP/2.0\r\n\r\n", "HTTP/1.1 505 ");
	expect(&r, "GET /metrics\r\n\r\n", "HTTP/1.1 400 ");
	expect(&r, "\x16\x03\x01 TLS?\r\n\r\n", "HTTP/1.1 400 ");
	expect(&r, "GET /met\x01rics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
	expect(&r, "\r\n\r\n", "HTTP/1.1 400 ");
	expect(&r, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"HTTP/1.1 200 "); /* one answer, no reset */
	assert_int_equal(r.written, written);
	rig_close(&r);
}

static void a_request_may_come_in_pieces(void **state)
{
	static const char text[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct rig r;
	ssize_t end;
	(void)state;
	rig_open(&r, 0);
	int fd = client(&r);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(r.written, 0);
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
		turn(&r, 2);
	}
	char *got = drain(&r, fd, &end);
	assert_int_equal(r.written, 1);
	assert_non_null(strstr(got, "x 1\n"));
	free(got);
	rig_close(&r);
}

static void a_head_without_end_is_refused(void **state)
{
	struct rig r;
	ssize_t end;
	(void)state;
	rig_open(&r, 0);
	int fd = client(&r);
	char *junk = tf_calloc(1, TF_HTTP_HEAD_MAX);
	memset(junk, 'a', TF_HTTP_HEAD_MAX);
	for (int i = 0; i < 64; i++) { /* it goes on after the answer */
		send(fd, junk, TF_HTTP_HEAD_MAX, MSG_NOSIGNAL | MSG_DONTWAIT);
		turn(&r, 1);
	}
	char *got = drain(&r, fd, &end);
	assert_memory_equal(got, "HTTP/1.1 431 ", 13);
	free(got);
	free(junk);
	rig_close(&r);
}

enum { PATIENCE_MS = 1500 };

static bool is_dropped(struct rig *r, int fd)
{
	char bytes[4096];
	uint64_t began = tf_clock_us();
	while (tf_clock_us() - began < 10000000) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		turn(r, n < 0);
	}
	return false;
}

/* Those that say nothing, and those that do not read, lose their place when their time is over. */
static void slow_clients_are_dropped_and_the_others_served(void **state)
{
	struct rig r;
	int fds[TF_PAGE_CLIENTS + 4];
	char byte;
	uint64_t began = tf_clock_us();
	(void)state;
	rig_open(&r, PATIENCE_MS);
	r.bytes = 16 << 20; /* more than sockets hold */
	for (int i = 0; i < TF_PAGE_CLIENTS + 4; i++) {
		static const char text[] = "GET /metrics HTTP/1.1\r\n\r\n";
		fds[i] = client(&r);
		send(fds[i], text, i % 2 ? sizeof(text) - 1 : 5, MSG_NOSIGNAL);
		turn(&r, 2);
	}
	for (int i = TF_PAGE_CLIENTS; i < TF_PAGE_CLIENTS + 4; i++)
		assert_true(is_dropped(&r, fds[i]));          /* no place for these */
	if (tf_clock_us() - began < PATIENCE_MS * 1000 / 2) { /* else this machine is too slow to tell */
		assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
	}
	assert_true(is_dropped(&r, fds[0]));
	assert_true(tf_clock_us() - began > PATIENCE_MS * 1000);
	r.bytes = 0;
	expect(&r, "GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 ");
	for (int i = 0; i < TF_PAGE_CLIENTS + 4; i++)
		close(fds[i]);
	rig_close(&r);
}

/* accept fails, and the socket stays readable. */
static void without_descriptors_clients_wait_and_the_loop_rests(void **state)
{
	if (getenv("UNDER_VALGRIND"))
		skip(); /* under it the kernel accepts what is beyond our limit, and Valgrind closes that */
	struct rig r;
	struct rlimit all, few;
	ssize_t end;
	(void)state;
	rig_open(&r, 0);
	int fd = client(&r);
	send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	tf_timer_start(r.alarm, 200, 0);
	unsigned turns = 0;
	uint64_t began = tf_clock_us();
	while (tf_clock_us() - began < 150000)
		tf_loop_turn(r.loop, true), turns++;
	assert_true(turns < 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	tf_timer_start(r.alarm, 5, 5);
	char *got = drain(&r, fd, &end);
	assert_non_null(strstr(got, "x 1\n"));
	free(got);
	rig_close(&r);
}

static void a_large_page_arrives_whole(void **state)
{
	struct rig r;
	ssize_t end;
	size_t promised = 0;
	(void)state;
	rig_open(&r, 0);
	r.bytes = 4 << 20;
	int fd = client(&r);
	assert_true(send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, 0) == 25);
	char *got = drain(&r, fd, &end), *body = strstr(got, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(sscanf(strstr(got, "Content-Length:"), "Content-Length: %zu", &promised), 1);
	assert_int_equal(strlen(body + 4), promised);
	free(got);
	rig_close(&r);
}

static void addresses(void **state)
{
	static const char *const wrong[] = {
		"", "x", ":1", "127.0.0.1", "1:x", "127.0.0.1:65536", "-1", "1 ", "host:"};
	struct tf_loop *loop = tf_loop_new();
	struct tf_page *p, *second;
	struct tf_err err;
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct tf_page_config config = {.address = wrong[i], .write = write_page};
		assert_int_equal(tf_page_new(loop, &config, &p, &err), TF_EINVAL);
		assert_non_null(strstr(err.message, "metrics: "));
	}
	struct tf_page_config config = {.address = "localhost:0", .write = write_page};
	assert_int_equal(tf_page_new(loop, &config, &p, &err), 0);
	char *taken = tf_strdup(strchr(tf_page_url(p), ':') + 3);
	*strchr(taken, '/') = '\0';
	config.address = taken;
	assert_int_equal(tf_page_new(loop, &config, &second, &err), TF_EIO);
	assert_non_null(strstr(err.message, taken));
	free(taken);
	tf_page_delete(p);
	tf_page_delete(NULL);
	tf_loop_delete(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_get_their_status),
		cmocka_unit_test(a_request_may_come_in_pieces),
		cmocka_unit_test(a_head_without_end_is_refused),
		cmocka_unit_test(slow_clients_are_dropped_and_the_others_served),
		cmocka_unit_test(without_descriptors_clients_wait_and_the_loop_rests),
		cmocka_unit_test(a_large_page_arrives_whole),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
