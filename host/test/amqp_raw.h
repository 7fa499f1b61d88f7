/* A client that shares nothing with the transport but rabbitmq-c: what others do to our queues. */
#ifndef TF_TEST_AMQP_RAW_H
#define TF_TEST_AMQP_RAW_H

#include <amqp.h>
#include <amqp_framing.h>
#include <stdbool.h>

/* Channel 1 open. Fails the test if anything goes wrong. */
amqp_connection_state_t raw_open(const char *url);
void raw_close(amqp_connection_state_t c);
void raw_declare(amqp_connection_state_t c, const char *queue, bool durable, bool auto_delete);
void raw_bind(amqp_connection_state_t c, const char *queue, const char *exchange, const char *key);
void raw_delete_queue(amqp_connection_state_t c, const char *queue);
/* Ready messages, or -1 if there is no such queue. */
long raw_count(const char *url, const char *queue);
/* To the default exchange: routing key is the queue. */
void raw_publish(amqp_connection_state_t c, const char *queue, const amqp_basic_properties_t *props,
	const void *body, size_t len);
/* Take one message away; false if there is none. *body (may be NULL) is freed by the caller. */
bool raw_get(amqp_connection_state_t c, const char *queue, char **body);

#endif
