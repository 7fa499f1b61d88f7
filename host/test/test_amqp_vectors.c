/* What the amqp transport sends, byte for byte against the frames recorded from Python. */
#include <stdio.h>
#include <string.h>

#include "amqp_env.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "vectors.h"

static size_t from_hex(const char *hex, char *out)
{
	size_t n, i;
	unsigned x;

	if (!hex) {
		fail_msg("a vector lacks bytes");
		return 0;
	}
	n = strlen(hex) / 2;
	for (i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &x), 1);
		out[i] = (char)x;
	}
	return n;
}

struct recorded {
	struct peer *peer;
	char *sent;
	size_t len;
};

static struct tf_message message_of(struct json_object *v)
{
	struct json_object *props;

	assert_true(json_object_object_get_ex(v, "properties", &props));
	return (struct tf_message){
		.topic = tf_vector_text(v, "routing_key"),
		.type = tf_vector_text(props, "type"),
		.reply_to = tf_vector_text(props, "reply_to"),
		.correlation_id = tf_vector_text(props, "correlation_id"),
		.body = tf_vector_text(v, "body_text"),
		.body_len = strlen(tf_vector_text(v, "body_text")),
	};
}

static bool is_amqp(struct json_object *v)
{
	return strcmp(tf_vector_text(v, "transport"), "amqp") == 0;
}

static void publish_vector(const char *file, struct json_object *v, void *arg)
{
	struct recorded *r = arg;
	struct tf_message m = message_of(v);

	(void)file;
	if (is_amqp(v))
		amqp_send(r->peer, &m, TF_PUBLISH_DECLARE, 1);
}

/* Method, header and body frames of ours are the recorded ones, but for the mandatory bit. */
static void find_vector(const char *file, struct json_object *v, void *arg)
{
	struct recorded *r = arg;
	struct json_object *amqp, *frames, *bodies;
	char *bytes = tf_malloc(1 << 20);
	size_t n, i;

	if (is_amqp(v)) {
		json_object_object_get_ex(v, "amqp", &amqp);
		json_object_object_get_ex(amqp, "frames_hex", &frames);
		json_object_object_get_ex(frames, "body", &bodies);
		n = from_hex(tf_vector_text(frames, "method"), bytes);
		assert_int_equal(bytes[n - 2], 0);
		bytes[n - 2] = 1;
		n += from_hex(tf_vector_text(frames, "header"), bytes + n);
		for (i = 0; i < json_object_array_length(bodies); i++)
			n += from_hex(
				json_object_get_string(json_object_array_get_idx(bodies, i)), bytes + n);
		if (!memmem(r->sent, r->len, bytes, n))
			fail_msg("%s: not sent like this", file);
	}
	free(bytes);
}

static void find_frames(const char *file, const char *const *names, const char *sent, size_t len)
{
	struct json_object *v = tf_vector_read(file), *frames;
	char bytes[4096];
	size_t i, n, found = 0;
	const char *const *name;

	json_object_object_get_ex(v, "frames", &frames);
	for (i = 0; i < json_object_array_length(frames); i++) {
		struct json_object *f = json_object_array_get_idx(frames, i);

		for (name = names; *name && strcmp(*name, tf_vector_text(f, "frame")) != 0; name++)
			;
		if (!*name || strcmp(tf_vector_text(f, "direction"), "client->server") != 0)
			continue;
		n = from_hex(tf_vector_text(f, "hex"), bytes);
		if (strcmp(*name, "Basic.Reject") == 0 && bytes[18] > 2)
			continue; /* of a third message */
		if (!memmem(sent, len, bytes, n))
			fail_msg("%s: frame %zu, %s, not sent like this", file, i, *name);
		found++;
	}
	assert_int_not_equal(found, 0);
	json_object_put(v);
}

static void test_vectors(void **state)
{
	static const char *const DECLARED[] = {
		"Exchange.Declare", "Queue.Declare", "Queue.Bind", "Basic.Reject", NULL};
	static const char *const ACKED[] = {"Basic.Ack", NULL};
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy);
	struct peer a, sender;
	struct recorded r = {.peer = &sender};

	(void)state;
	strcpy(amqp_exchange, "spec-probe"); /* as recorded */
	/* The consumer's connection comes first. */
	amqp_open_peer(&a, url, NULL);
	peer_consume(&a, "test-tasks", 0);
	peer_until(&a, a.ups, 1);
	amqp_open_peer(&sender, url, NULL);
	assert_true(tf_vectors_each(publish_vector, &r) > 20);
	peer_until(&a, a.count, 2);
	tf_transport_settle(a.t, a.messages[0].tag, TF_REJECT);
	tf_transport_settle(a.t, a.messages[1].tag, TF_REQUEUE);
	amqp_until(&a, 10, sender.t->queued == 0);
	peer_close(&a);
	amqp_open_peer(&a, url, NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "test-tasks", 0);
	peer_send(&sender, "test-tasks", "x", TF_PUBLISH_DECLARE, 0);
	peer_until(&a, a.count, 1);
	peer_close(&a);
	peer_close(&sender);
	r.sent = tcp_proxy_sent(proxy, 0, &r.len);
	find_frames("amqp-frames-worker.json", DECLARED, r.sent, r.len);
	free(r.sent);
	r.sent = tcp_proxy_sent(proxy, 3, &r.len);
	tf_vectors_each(find_vector, &r);
	free(r.sent);
	r.sent = tcp_proxy_sent(proxy, 4, &r.len);
	find_frames("amqp-frames-publish.json", ACKED, r.sent, r.len);
	free(r.sent);
	tcp_proxy_delete(proxy);
	free(url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vectors, amqp_set_up, amqp_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
