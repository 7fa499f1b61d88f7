/* What the tests of the amqp transport start from: a broker's URL, an exchange and a loop of their own. */
#ifndef TF_TEST_AMQP_ENV_H
#define TF_TEST_AMQP_ENV_H

#include "tcp_proxy.h"
#include "transport_peer.h"

extern char amqp_exchange[64]; /* another one in each test */
extern struct tf_loop *amqp_loop;

int amqp_set_up(void **state);
int amqp_tear_down(void **state);

/* TFHOST_TEST_AMQP_URL; fails the test without it. */
const char *amqp_url(void);
int amqp_port(const char *url);
/* A URL of the same broker through the proxy. Caller frees. */
char *amqp_url_through(const struct tcp_proxy *p);
char *amqp_queue(const char *topic); /* "<exchange>_<topic>"; caller frees */
/* `options`: JSON or NULL. Backoff is short. Fails the test if that fails. */
void amqp_open_peer(struct peer *p, const char *url, const char *options);
/* Publish; fails the test if it is not taken. */
void amqp_send(struct peer *p, const struct tf_message *m, unsigned flags, uint64_t id);
/* Turn the loop until the condition holds; fails the test after `s` seconds. */
#define amqp_until(p, s, condition) \
	do { \
		uint64_t end_ = tf_clock_ms(&tf_clock_real) + (s)*1000; \
		while (!(condition)) { \
			if (tf_clock_ms(&tf_clock_real) > end_) \
				fail_msg("not after %d s: %s", (s), #condition); \
			peer_idle((p), 5); \
		} \
	} while (0)
/* Run a shell command; fails the test if it fails. */
void amqp_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *amqp_read_file(const char *dir, const char *name); /* trimmed; caller frees */

#endif
