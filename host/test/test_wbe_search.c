/* A resumed engine looks for a request that its former self may have sent (wbe/search.c): on a scripted wire. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "clock_fake.h"
#include "fake_wire.h"
#include "protocol/peer.h"
#include "wbe/executor.h"
#include "wbe/seam.h"

#define FLOW "11111111-0000-4000-8000-000000000001"
#define WORKER "22222222-0000-4000-8000-000000000001"
#define ATOM "aaaaaaaa-0000-4000-8000-000000000001"
#define GROUP "tfhost-workers_alpha"

struct rig {
	struct tf_clock_fake clock;
	struct tf_loop *loop;
	struct tf_executor *x;
	struct fake_wire *wire;
};

static void on_done(void *arg, const struct tf_completion *c)
{
	(void)arg, (void)c;
}

static void deliver(struct rig *r, const char *type, const char *id, const char *peer, const char *body)
{
	fake_wire_deliver(r->wire, &(struct tf_message){.topic = FLOW,
					   .type = type,
					   .correlation_id = id,
					   .peer = peer,
					   .content_type = "application/json",
					   .body = body,
					   .body_len = strlen(body)});
}

/* The header of an answer to the question or probe with this number. */
static const char *header(int64_t echo, int64_t given)
{
	static char buf[TF_PEER_MAX];
	struct tf_peer p = TF_PEER_INIT;
	strcpy(p.worker, WORKER);
	p.round = 1;
	p.action = TF_EXECUTE;
	p.echo = echo;
	p.given = given;
	return tf_peer_write(&p, buf);
}

static void answer(struct rig *r, int64_t echo)
{
	deliver(r, "NOTIFY", NULL, header(echo, -1), "{\"topic\": \"alpha\", \"tasks\": [\"m.T\"]}");
}

/* Number in the last NOTIFY to this topic that has one, of those since the last call; -1: there was none. */
static int64_t number_to(struct rig *r, const char *topic)
{
	struct fake_sent *s;
	int64_t number = -1;
	while ((s = fake_wire_take(r->wire)) != NULL) {
		struct tf_peer peer = tf_peer_parse(s->m.peer);
		if (!strcmp(s->m.type, "NOTIFY") && !strcmp(s->m.topic, topic) && peer.echo >= 0)
			number = peer.echo;
		fake_sent_free(s);
	}
	return number;
}

static size_t requests(struct rig *r)
{
	struct fake_sent *s;
	size_t n = 0;
	while ((s = fake_wire_take(r->wire)) != NULL) {
		n += !strcmp(s->m.type, "REQUEST");
		fake_sent_free(s);
	}
	return n;
}

static void pass(struct rig *r, uint64_t ms)
{
	for (; ms; ms -= 100) {
		tf_clock_fake_advance(&r->clock, 100);
		tf_executor_wbe_tick(r->x);
	}
}

/* Submitted, and its question has come through the topic's queue: all its workers are asked. Returns that number. */
static int64_t asked(struct rig *r)
{
	static const char *const topics[] = {"alpha", NULL};
	const struct tf_wbe_seam seam = {.clock = &r->clock.clock, .open = fake_wire_open};
	const struct tf_wbe_config config = {.reply_topic = FLOW, .topics = topics};
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL), *none = tf_value_empty_object();
	struct tf_err err;
	const struct tf_work w = {.atom = 7,
		.round = 1,
		.uuid = ATOM,
		.name = "add",
		.task_cls = "m.T",
		.task_version = version,
		.action = TF_EXECUTE,
		.arguments = none,
		.performer = ""};
	r->loop = tf_loop_new();
	tf_clock_fake_init(&r->clock, 1000000);
	assert_int_equal(tf_executor_wbe_new_with(r->loop, &config, &seam, &r->x, &err), 0);
	r->x->events = (struct tf_executor_events){.done = on_done};
	r->x->arg = r;
	assert_int_equal(r->x->ops->start(r->x, &err), 0);
	r->wire = fake_wire_last;
	fake_wire_tracks(r->wire); /* for its groups */
	fake_wire_state(r->wire, true);
	answer(r, -1);
	fake_wire_drop(r->wire);
	assert_int_equal(r->x->ops->submit(r->x, &w, &err), 0);
	pass(r, 100);
	tf_value_unref(version);
	tf_value_unref(none);
	answer(r, number_to(r, "alpha"));
	int64_t number = number_to(r, GROUP);
	assert_true(number >= 0);
	return number;
}

static void close_rig(struct rig *r)
{
	r->x->ops->destroy(r->x);
	tf_loop_delete(r->loop);
}

static void what_nobody_claims_is_sent(void **state)
{
	struct rig r = {0};
	(void)state;
	asked(&r);
	pass(&r, 900);
	assert_int_equal(requests(&r), 0);
	pass(&r, 300);
	assert_int_equal(requests(&r), 1);
	close_rig(&r);
}

static void what_waits_with_a_worker_is_not(void **state)
{
	struct rig r = {0};
	(void)state;
	int64_t number = asked(&r);
	deliver(&r, "RESPONSE", ATOM, header(number, -1), "{\"state\": \"PENDING\", \"data\": {}}");
	pass(&r, 30000);
	assert_int_equal(requests(&r), 0);
	close_rig(&r);
}

/* Who gave it back cannot know what has become of it: another may have taken it, ended it, and died. */
static void what_went_back_to_the_queue_is_asked_for_again(void **state)
{
	struct rig r = {0};
	(void)state;
	int64_t number = asked(&r);
	deliver(&r, "RESPONSE", ATOM, header(number, 1), "{\"state\": \"PENDING\", \"data\": {}}");
	pass(&r, 1200);
	int64_t question = number_to(&r, "alpha");
	assert_true(question >= 0);
	answer(&r, question);
	int64_t again = number_to(&r, GROUP);
	assert_true(again >= 0 && again != number);
	pass(&r, 1200);
	assert_int_equal(requests(&r), 1);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_claims_is_sent),
		cmocka_unit_test(what_waits_with_a_worker_is_not),
		cmocka_unit_test(what_went_back_to_the_queue_is_asked_for_again),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_search", tests, NULL, NULL);
}
