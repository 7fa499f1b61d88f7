#include "amqp_env.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"

char amqp_exchange[64];
struct tf_loop *amqp_loop;

int amqp_set_up(void **state)
{
	char uuid[TF_UUID_LEN + 1];

	(void)state;
	tf_uuid(uuid);
	snprintf(amqp_exchange, sizeof(amqp_exchange), "test-%.8s", uuid);
	amqp_loop = tf_loop_new();
	return 0;
}

int amqp_tear_down(void **state)
{
	(void)state;
	/* Left over by a test that failed: its message is worth more than ours. */
	if (tf_loop_turn(amqp_loop, false))
		return -1;
	tf_loop_delete(amqp_loop);
	return 0;
}

const char *amqp_url(void)
{
	const char *u = getenv("TFHOST_TEST_AMQP_URL");

	if (!u || !*u)
		fail_msg(
			"TFHOST_TEST_AMQP_URL is not set: make check-amqp, or spec/support/rabbitmq run ...");
	return u;
}

int amqp_port(const char *url)
{
	struct tf_url_list list;
	int port;

	assert_int_equal(tf_url_parse_list(url, NULL, &list, NULL), 0);
	port = list.urls[0].port;
	tf_url_list_free(&list);
	return port;
}

char *amqp_url_through(const struct tcp_proxy *p)
{
	return tf_asprintf("amqp://guest:guest@127.0.0.1:%d//", tcp_proxy_port(p));
}

char *amqp_queue(const char *topic)
{
	return tf_asprintf("%s_%s", amqp_exchange, topic);
}

void amqp_open_peer(struct peer *p, const char *url, const char *options)
{
	struct tf_err err = {0};
	struct tf_value *v = options ? tf_value_parse(options, strlen(options), 0, &err) : NULL;
	struct tf_transport_config config = {
		.url = url,
		.exchange = amqp_exchange,
		.options = v,
		.retry = {.interval_start = 0.05, .interval_max = 0.2},
	};

	if ((options && !v) || peer_open_config(p, amqp_loop, &config, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(v);
}

void amqp_send(struct peer *p, const struct tf_message *m, unsigned flags, uint64_t id)
{
	struct tf_err err = {0};

	if (tf_transport_publish(p->t, m, flags, id, &err) < 0)
		fail_msg("%s", err.message);
}

void amqp_shell(const char *fmt, ...)
{
	char command[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

char *amqp_read_file(const char *dir, const char *name)
{
	char *path = tf_asprintf("%s/%s", dir, name), text[4096];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		fail_msg("cannot read %s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	free(path);
	while (n && text[n - 1] == '\n')
		n--;
	return tf_strndup(text, n);
}
