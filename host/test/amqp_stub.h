/* A scripted broker: enough of AMQP 0-9-1 for a client of ours to connect, declare and consume, and one rule that no
 * broker at hand has: like RabbitMQ 4.3, it refuses queues that are neither durable nor exclusive. What its refusal
 * looks like is taken from RabbitMQ's release notes, not from a running 4.3. */
#ifndef TF_TEST_AMQP_STUB_H
#define TF_TEST_AMQP_STUB_H

struct amqp_stub;

/* Listens on a free port of the loopback interface, on threads of its own. */
struct amqp_stub *amqp_stub_new(void);
int amqp_stub_port(const struct amqp_stub *s);
/* The clients have gone before. */
void amqp_stub_delete(struct amqp_stub *s);

#endif
