#include "amqp_raw.h"

#include <amqp_tcp_socket.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "transport/url.h"

static void check(amqp_connection_state_t c, const char *what)
{
	amqp_rpc_reply_t r = amqp_get_rpc_reply(c);

	if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && r.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *x = r.reply.decoded;

		fail_msg("%s: %.*s", what, (int)x->reply_text.len, (char *)x->reply_text.bytes);
	}
	if (r.reply_type != AMQP_RESPONSE_NORMAL)
		fail_msg("%s: %s", what, amqp_error_string2(r.library_error));
}

amqp_connection_state_t raw_open(const char *url)
{
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *s = amqp_tcp_socket_new(c);
	struct tf_url_list list;
	struct tf_err err;
	const struct tf_url *u;

	assert_int_equal(tf_url_parse_list(url, NULL, &list, &err), 0);
	u = &list.urls[0];
	if (amqp_socket_open(s, u->host, u->port) != AMQP_STATUS_OK)
		fail_msg("%s: cannot connect", url);
	if (amqp_login(c, u->vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, u->user, u->password).reply_type !=
		AMQP_RESPONSE_NORMAL)
		fail_msg("%s: cannot log in", url);
	tf_url_list_free(&list);
	amqp_channel_open(c, 1);
	check(c, "channel.open");
	return c;
}

void raw_close(amqp_connection_state_t c)
{
	amqp_connection_close(c, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(c);
}

void raw_declare(amqp_connection_state_t c, const char *queue, bool durable, bool auto_delete)
{
	amqp_queue_declare(c, 1, amqp_cstring_bytes(queue), 0, durable, 0, auto_delete, amqp_empty_table);
	check(c, "queue.declare");
}

void raw_bind(amqp_connection_state_t c, const char *queue, const char *exchange, const char *key)
{
	amqp_exchange_declare(c, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes("direct"), 0, 0, 1, 0,
		amqp_empty_table);
	check(c, "exchange.declare");
	amqp_queue_bind(c, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
		amqp_cstring_bytes(key), amqp_empty_table);
	check(c, "queue.bind");
}

void raw_delete_queue(amqp_connection_state_t c, const char *queue)
{
	amqp_queue_delete(c, 1, amqp_cstring_bytes(queue), 0, 0);
	check(c, "queue.delete");
}

long raw_count(const char *url, const char *queue)
{
	amqp_connection_state_t c = raw_open(url);
	const amqp_queue_declare_ok_t *ok;
	long n;

	ok = amqp_queue_declare(c, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
	n = ok ? (long)ok->message_count : -1;
	raw_close(c);
	return n;
}

void raw_publish(amqp_connection_state_t c, const char *queue, const amqp_basic_properties_t *props,
	const void *body, size_t len)
{
	assert_int_equal(amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, props,
				 (amqp_bytes_t){.len = len, .bytes = (void *)body}),
		AMQP_STATUS_OK);
}

bool raw_get(amqp_connection_state_t c, const char *queue, char **body)
{
	amqp_message_t m;
	amqp_rpc_reply_t r = amqp_basic_get(c, 1, amqp_cstring_bytes(queue), 1);

	assert_int_equal(r.reply_type, AMQP_RESPONSE_NORMAL);
	if (r.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
		return false;
	r = amqp_read_message(c, 1, &m, 0);
	assert_int_equal(r.reply_type, AMQP_RESPONSE_NORMAL);
	if (body)
		*body = tf_strndup(m.body.bytes, m.body.len);
	amqp_destroy_message(&m);
	return true;
}
