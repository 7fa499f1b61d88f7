/* The floor that `make bench` compares with: the three messages of a task (REQUEST, RUNNING, SUCCESS) moved
 * by bare rabbitmq-c between two processes, with the queues, properties, confirms and acknowledgements that
 * tfhost uses, and nothing else: no JSON, no slots, no state.
 *
 *   raw_amqp URL chain N   each request is sent when the one before it is done
 *   raw_amqp URL fan N     256 requests are under way at once
 *
 * Prints seconds a task, from the outcome of a task before them to the last: as the other programs of the
 * benchmark do, so that nobody's start counts, and everybody's sending does.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "transport/url.h"

#define EXCHANGE "bench-raw"
#define WORK "work"
#define REPLY "1789a41e-fd6c-4f13-b6dc-aac587e90ed3"
#define ATOM "d27cd7ed-5120-4463-941a-f589fb08c4bd"
#define BATCH 64 /* most requests whose confirms a worker waits for at once */
#define PREFETCH 2 * BATCH
#define WINDOW 256 /* requests under way at once when fanned out */

static const char REQUEST[] = "{\"task_cls\": \"bench_tasks.Nothing\", \"task_name\": \"t1234\", "
			      "\"task_version\": [1, 0], \"action\": \"execute\", \"arguments\": {}}";
static const char RUNNING[] = "{\"state\": \"RUNNING\", \"data\": {}}";
static const char SUCCESS[] = "{\"state\": \"SUCCESS\", \"data\": {\"result\": null}}";

struct peer { /* one process: a connection for each direction, as tfhost has them */
	amqp_connection_state_t in, out;
	uint64_t sent, confirmed; /* delivery tags on `out` */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "raw_amqp: %s\n", what);
	exit(1);
}

static void check(amqp_connection_state_t c, const char *what)
{
	if (amqp_get_rpc_reply(c).reply_type != AMQP_RESPONSE_NORMAL)
		die(what);
}

static amqp_connection_state_t connect_to(const struct tf_url *url)
{
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(c);
	if (!socket || amqp_socket_open(socket, url->host, url->port))
		die("no connection");
	amqp_rpc_reply_t r = amqp_login(c, url->vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN,
		url->user, url->password);
	if (r.reply_type != AMQP_RESPONSE_NORMAL)
		die("login refused");
	amqp_channel_open(c, 1);
	check(c, "channel.open");
	return c;
}

static void declare(amqp_connection_state_t c, const char *topic)
{
	char queue[128];
	(void)snprintf(queue, sizeof(queue), EXCHANGE "_%s", topic);
	amqp_bytes_t exchange = amqp_cstring_bytes(EXCHANGE);
	amqp_exchange_declare(c, 1, exchange, amqp_cstring_bytes("direct"), 0, 0, 1, 0, amqp_empty_table);
	check(c, "exchange.declare");
	amqp_queue_declare(c, 1, amqp_cstring_bytes(queue), 0, 0, 0, 1, amqp_empty_table);
	check(c, "queue.declare");
	amqp_queue_bind(
		c, 1, amqp_cstring_bytes(queue), exchange, amqp_cstring_bytes(topic), amqp_empty_table);
	check(c, "queue.bind");
}

static struct peer peer_open(const struct tf_url *url, const char *topic, uint16_t prefetch)
{
	struct peer p = {connect_to(url), connect_to(url), 0, 0};
	char queue[128];
	(void)snprintf(queue, sizeof(queue), EXCHANGE "_%s", topic);
	amqp_confirm_select(p.out, 1);
	check(p.out, "confirm.select");
	declare(p.in, topic);
	amqp_basic_qos(p.in, 1, 0, prefetch, 0);
	check(p.in, "basic.qos");
	amqp_basic_consume(
		p.in, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes("None1"), 0, 0, 0, amqp_empty_table);
	check(p.in, "basic.consume");
	return p;
}

static void peer_close(struct peer *p)
{
	amqp_connection_close(p->in, AMQP_REPLY_SUCCESS);
	amqp_connection_close(p->out, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(p->in);
	amqp_destroy_connection(p->out);
}

static void publish(struct peer *p, const char *topic, const char *type, const char *body)
{
	amqp_basic_properties_t props = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
			  AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG |
			  AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_TYPE_FLAG,
		.content_type = amqp_cstring_bytes("application/json"),
		.content_encoding = amqp_cstring_bytes("utf-8"),
		.delivery_mode = 2,
		.correlation_id = amqp_cstring_bytes(ATOM),
		.reply_to = amqp_cstring_bytes(REPLY),
		.type = amqp_cstring_bytes(type),
	};
	if (amqp_basic_publish(p->out, 1, amqp_cstring_bytes(EXCHANGE), amqp_cstring_bytes(topic), 1, 0,
		    &props, amqp_cstring_bytes(body)))
		die("basic.publish");
	p->sent++;
}

/* Read confirms until at most `left` are missing. */
static void await_confirms(struct peer *p, uint64_t left)
{
	while (p->sent - p->confirmed > left) {
		amqp_frame_t frame;
		amqp_maybe_release_buffers(p->out);
		if (amqp_simple_wait_frame(p->out, &frame))
			die("waiting for confirms");
		if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
			die("a message was returned or refused");
		const amqp_basic_ack_t *ack = frame.payload.method.decoded;
		/* Out of order confirms without `multiple` do not occur here: one queue a topic. */
		p->confirmed = ack->multiple ? ack->delivery_tag : p->confirmed + 1;
	}
}

/* The delivery tag of the next message; 0 if none comes at once and `wait` is false. */
static uint64_t receive(struct peer *p, int wait)
{
	struct timeval none = {0, 0};
	amqp_envelope_t envelope;
	amqp_maybe_release_buffers(p->in);
	amqp_rpc_reply_t r = amqp_consume_message(p->in, &envelope, wait ? NULL : &none, 0);
	if (r.reply_type != AMQP_RESPONSE_NORMAL) {
		if (r.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && r.library_error == AMQP_STATUS_TIMEOUT)
			return 0;
		die("basic.consume ended");
	}
	uint64_t tag = envelope.delivery_tag;
	amqp_destroy_envelope(&envelope);
	return tag;
}

/* Answers `n` requests; acknowledges each after its two answers are confirmed. */
static _Noreturn void serve(const struct tf_url *url, unsigned long n, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct peer p = peer_open(url, WORK, PREFETCH);
	if (write(ready, "r", 1) != 1)
		die("pipe");
	while (n > 0) {
		uint64_t last = 0, tag = 0;
		unsigned batch = 0;
		while (batch < BATCH && n > 0 && (tag = receive(&p, batch == 0)) != 0) {
			publish(&p, REPLY, "RESPONSE", RUNNING);
			publish(&p, REPLY, "RESPONSE", SUCCESS);
			last = tag;
			batch++;
			n--;
		}
		await_confirms(&p, 0);
		if (amqp_basic_ack(p.in, 1, last, 1))
			die("basic.ack");
	}
	peer_close(&p);
	exit(0);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Drives `n` tasks, `window` of them under way at once; takes the seconds from the first request to the last
 * outcome. */
static double request(struct peer *p, unsigned long n, unsigned long window)
{
	double start = now();
	unsigned long sent = 0;
	for (unsigned long answered = 0; answered < 2 * n; answered++) {
		for (; sent < n && sent - answered / 2 < window; sent++)
			publish(p, WORK, "REQUEST", REQUEST);
		await_confirms(p, window);
		if (amqp_basic_ack(p->in, 1, receive(p, 1), 0))
			die("basic.ack");
	}
	double end = now();
	await_confirms(p, 0);
	return end - start;
}

int main(int argc, char **argv)
{
	struct tf_err err;
	struct tf_url_list urls;
	if (argc != 4 || (strcmp(argv[2], "chain") && strcmp(argv[2], "fan")))
		die("usage: raw_amqp URL chain|fan N");
	if (tf_url_parse_list(argv[1], NULL, &urls, &err))
		die(err.message);
	unsigned long n = strtoul(argv[3], NULL, 10);
	int ready[2];
	char byte;
	if (n < 1 || pipe(ready))
		die("N must be a number above 0");
	pid_t worker = fork();
	if (worker == 0)
		serve(&urls.urls[0], n + 1, ready[1]);
	if (worker < 0 || read(ready[0], &byte, 1) != 1)
		die("the worker did not start");
	struct peer p = peer_open(&urls.urls[0], REPLY, 0);
	declare(p.out, WORK);
	request(&p, 1, 1);
	printf("%.9f\n", request(&p, n, argv[2][0] == 'c' ? 1 : WINDOW) / (double)n);
	peer_close(&p);
	int status;
	if (waitpid(worker, &status, 0) != worker || status)
		die("the worker failed");
	tf_url_list_free(&urls);
	return 0;
}
