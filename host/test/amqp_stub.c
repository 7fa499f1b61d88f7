#include "amqp_stub.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

enum { FRAME_MAX = 65536, CONNECTIONS_MAX = 16 };

static const char REFUSAL[] = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated. By "
			      "default, this feature is not permitted "
			      "anymore.";

struct amqp_stub {
	int listener, port;
	pthread_t acceptor;
	pthread_t clients[CONNECTIONS_MAX];
	size_t count;
};

struct client {
	int fd;
	amqp_pool_t pool; /* of decoded methods */
};

static bool receive(int fd, void *into, size_t n)
{
	return recv(fd, into, n, MSG_WAITALL) == (ssize_t)n;
}

static bool answer(const struct client *c, uint16_t channel, amqp_method_number_t id, void *method)
{
	unsigned char frame[2048];
	const amqp_bytes_t room = {.len = sizeof(frame) - 12, .bytes = frame + 11};
	const int n = amqp_encode_method(id, method, room);
	const uint32_t number = htonl(id), size = htonl((uint32_t)n + 4);

	TF_ASSERT(n >= 0);
	channel = htons(channel);
	frame[0] = AMQP_FRAME_METHOD;
	memcpy(frame + 1, &channel, 2);
	memcpy(frame + 3, &size, 4);
	memcpy(frame + 7, &number, 4);
	frame[11 + n] = AMQP_FRAME_END;
	return send(c->fd, frame, (size_t)n + 12, MSG_NOSIGNAL) == n + 12;
}

static bool on_queue_declare(const struct client *c, uint16_t channel, const amqp_queue_declare_t *m)
{
	amqp_queue_declare_ok_t ok = {.queue = m->queue};
	amqp_connection_close_t refusal = {.reply_code = AMQP_INTERNAL_ERROR,
		.reply_text = amqp_cstring_bytes(REFUSAL),
		.class_id = AMQP_QUEUE_DECLARE_METHOD >> 16,
		.method_id = AMQP_QUEUE_DECLARE_METHOD & 0xffff};

	if (m->durable || m->exclusive)
		return answer(c, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
	return answer(c, 0, AMQP_CONNECTION_CLOSE_METHOD, &refusal);
}

static bool on_method(struct client *c, uint16_t channel, amqp_method_number_t id, const void *decoded)
{
	amqp_connection_tune_t tune = {.frame_max = FRAME_MAX};
	amqp_basic_consume_ok_t consuming = {0};
	char none[64] = {0}; /* arguments of answers that have none that matter */

	switch (id) {
	case AMQP_CONNECTION_START_OK_METHOD:
		return answer(c, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
	case AMQP_CONNECTION_OPEN_METHOD:
		return answer(c, 0, AMQP_CONNECTION_OPEN_OK_METHOD, none);
	case AMQP_CONNECTION_CLOSE_METHOD:
		answer(c, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, none);
		return false;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		return false;
	case AMQP_QUEUE_DECLARE_METHOD:
		return on_queue_declare(c, channel, decoded);
	case AMQP_BASIC_CONSUME_METHOD:
		consuming.consumer_tag = ((const amqp_basic_consume_t *)decoded)->consumer_tag;
		return answer(c, channel, AMQP_BASIC_CONSUME_OK_METHOD, &consuming);
	case AMQP_CHANNEL_OPEN_METHOD:
	case AMQP_EXCHANGE_DECLARE_METHOD:
	case AMQP_QUEUE_BIND_METHOD:
	case AMQP_QUEUE_DELETE_METHOD:
	case AMQP_BASIC_QOS_METHOD:
	case AMQP_CONFIRM_SELECT_METHOD:
		return answer(c, channel, id + 1, none); /* a method's -ok is the next number */
	default:
		return true;
	}
}

static bool serve_frame(struct client *c)
{
	unsigned char head[7], *payload;
	uint32_t size, number;
	uint16_t channel;
	void *decoded;
	bool go_on = true;

	if (!receive(c->fd, head, sizeof(head)))
		return false;
	memcpy(&channel, head + 1, 2);
	memcpy(&size, head + 3, 4);
	size = ntohl(size);
	if (size > FRAME_MAX)
		return false;
	payload = tf_malloc(size + 1);
	go_on = receive(c->fd, payload, size + 1);
	if (go_on && head[0] == AMQP_FRAME_METHOD && size >= 4) {
		memcpy(&number, payload, 4);
		number = ntohl(number);
		go_on = amqp_decode_method(number, &c->pool,
				(amqp_bytes_t){.len = size - 4, .bytes = payload + 4},
				&decoded) == AMQP_STATUS_OK &&
			on_method(c, ntohs(channel), number, decoded);
	}
	free(payload);
	recycle_amqp_pool(&c->pool);
	return go_on;
}

static void *client_main(void *arg)
{
	struct client c = {.fd = (int)(intptr_t)arg};
	amqp_connection_start_t start = {.version_minor = 9,
		.mechanisms = amqp_cstring_bytes("PLAIN"),
		.locales = amqp_cstring_bytes("en_US")};
	char header[8];

	init_amqp_pool(&c.pool, 4096);
	if (receive(c.fd, header, sizeof(header)) && answer(&c, 0, AMQP_CONNECTION_START_METHOD, &start))
		while (serve_frame(&c))
			;
	empty_amqp_pool(&c.pool);
	close(c.fd);
	return NULL;
}

static void *acceptor_main(void *arg)
{
	struct amqp_stub *s = arg;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		TF_ASSERT(s->count < CONNECTIONS_MAX);
		TF_ASSERT(pthread_create(&s->clients[s->count++], NULL, client_main, (void *)(intptr_t)fd) ==
			  0);
	}
	return NULL;
}

struct amqp_stub *amqp_stub_new(void)
{
	struct amqp_stub *s = TF_NEW(struct amqp_stub);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	TF_ASSERT(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&a, sizeof(a)) == 0);
	TF_ASSERT(listen(s->listener, 16) == 0);
	TF_ASSERT(getsockname(s->listener, (struct sockaddr *)&a, &len) == 0);
	s->port = ntohs(a.sin_port);
	TF_ASSERT(pthread_create(&s->acceptor, NULL, acceptor_main, s) == 0);
	return s;
}

int amqp_stub_port(const struct amqp_stub *s)
{
	return s->port;
}

void amqp_stub_delete(struct amqp_stub *s)
{
	size_t i;

	shutdown(s->listener, SHUT_RDWR); /* ends accept */
	pthread_join(s->acceptor, NULL);
	for (i = 0; i < s->count; i++)
		pthread_join(s->clients[i], NULL);
	close(s->listener);
	free(s);
}
