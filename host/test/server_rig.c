#include "server_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "loop/loop.h"

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct server_rig *r = arg;
	assert_null(err);
	assert_string_equal(names[0], r->classes[0]);
	(void)count;
	r->readies++;
}

static void on_stopped(void *arg, const struct tf_err *err)
{
	struct server_rig *r = arg;
	r->stops++;
	if (err)
		r->stop_err = *err;
	if (r->delete_in_stopped) {
		tf_server_delete(r->s);
		r->s = NULL;
	}
}

static const char *const two_classes[] = {"m.T", "m.U", NULL};

static int open_tracking(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err)
{
	int rc = fake_wire_open(loop, config, events, arg, out, err);
	fake_wire_tracks(fake_wire_last);
	return rc;
}

void server_make(struct server_rig *r)
{
	const struct tf_wbe_seam seam = {
		.clock = &r->clock.clock, .open = r->tracks ? open_tracking : fake_wire_open};
	static const struct tf_server_events events = {.ready = on_ready, .stopped = on_stopped};
	struct tf_err err;
	r->loop = tf_loop_new();
	tf_clock_fake_init(&r->clock, 1000000);
	r->config.transport.exchange = "x";
	r->config.topic = "tasks";
	if (!r->config.pool.slots)
		r->config.pool.slots = 2;
	if (!r->classes)
		r->classes = two_classes;
	if (tf_server_new_with(r->loop, &r->config, &seam, &fake_pool_ops, &events, r, &r->s, &err) < 0)
		fail_msg("%s", err.message);
	r->wire = fake_wire_last;
	r->pool = fake_pool_last;
	r->pool->limited = r->limited;
	r->pool->class_limits = r->class_limits;
}

void server_open(struct server_rig *r)
{
	server_make(r);
	fake_wire_state(r->wire, true);
	tf_server_tick(r->s);
	assert_null(r->wire->topics); /* nothing is taken before the scripts are there */
	fake_pool_ready(r->pool, r->classes);
	tf_server_tick(r->s);
	assert_int_equal(r->readies, 1);
}

void server_close(struct server_rig *r)
{
	tf_server_delete(r->s);
	tf_loop_delete(r->loop);
	memset(r, 0, sizeof(*r));
}

void server_pass(struct server_rig *r, uint64_t ms)
{
	while (ms) {
		uint64_t step = ms < 100 ? ms : 100;
		tf_clock_fake_advance(&r->clock, step);
		tf_server_tick(r->s);
		ms -= step;
	}
}

uint64_t server_deliver(struct server_rig *r, const char *type, const char *id, const char *peer,
	const char *body, bool redelivered)
{
	return fake_wire_deliver(r->wire, &(struct tf_message){.topic = "tasks",
						  .type = type,
						  .reply_to = ENGINE,
						  .correlation_id = id,
						  .peer = peer,
						  .content_type = "application/json",
						  .body = body,
						  .body_len = strlen(body),
						  .redelivered = redelivered});
}

uint64_t server_request(struct server_rig *r, const char *id, const char *peer)
{
	return server_deliver(r, "REQUEST", id, peer, EXECUTE, false);
}

uint64_t server_expect(struct server_rig *r, const char *type, const char *id, const char *body)
{
	struct fake_sent *s = fake_wire_take(r->wire);
	if (!s)
		fail_msg("nothing was sent, expected %s %s", type, body);
	assert_string_equal(s->m.type, type);
	assert_string_equal(s->m.topic, ENGINE);
	assert_null(s->m.reply_to);
	if (id)
		assert_string_equal(s->m.correlation_id, id);
	else
		assert_null(s->m.correlation_id);
	if (!strstr(s->m.body, body))
		fail_msg("want %s\nhave %s", body, s->m.body);
	uint64_t publish = s->id;
	fake_sent_free(s);
	return publish;
}

void server_begin(struct server_rig *r, size_t i)
{
	fake_pool_started(r->pool, i);
	tf_server_tick(r->s);
}

void server_finish(struct server_rig *r, const char *id, const char *result)
{
	char *body = tf_asprintf("{\"state\": \"SUCCESS\", \"data\": {\"result\": %s}}", result);
	fake_pool_done(r->pool, 0, false, result);
	uint64_t publish = server_expect(r, "RESPONSE", id, body);
	assert_int_not_equal(publish, 0);
	fake_wire_confirm(r->wire, publish, TF_PUBLISHED);
	free(body);
}

struct tf_server_stats server_stats(struct server_rig *r)
{
	struct tf_server_stats s;
	tf_server_stats(r->s, &s);
	return s;
}
