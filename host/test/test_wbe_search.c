/* A resumed engine looks for a request that its former self may have sent (wbe/search.c): on a scripted wire. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "executor_rig.h"
#include "protocol/peer.h"

#define GROUP "tfhost-workers_alpha"
#define CHECKS ((int64_t)1 << 40) /* numbers of probes are beyond it */

/* The header of an answer to the question or probe with this number. */
static const char *header(int64_t echo, int64_t given)
{
	static char buf[TF_PEER_MAX];
	struct tf_peer p = TF_PEER_INIT;
	strcpy(p.worker, W1);
	p.round = 1;
	p.action = TF_EXECUTE;
	p.echo = echo;
	p.given = given;
	return tf_peer_write(&p, buf);
}

static void answer(struct executor_rig *r, int64_t echo)
{
	executor_answer(r, "alpha", "m.T", header(echo, -1));
}

/* Number in the last question to this topic, of those since the last call; -1: there was none. */
static int64_t number_to(struct executor_rig *r, const char *topic)
{
	struct fake_sent *s;
	int64_t number = -1;
	while ((s = fake_wire_take(r->wire)) != NULL) {
		struct tf_peer peer = tf_peer_parse(s->m.peer);
		if (!strcmp(s->m.type, "NOTIFY") && !strcmp(s->m.topic, topic) && peer.echo >= 0 &&
			peer.echo < CHECKS)
			number = peer.echo;
		fake_sent_free(s);
	}
	return number;
}

static size_t requests(struct executor_rig *r)
{
	struct fake_sent *s;
	size_t n = 0;
	for (; (s = executor_next_request(r)) != NULL; n++)
		fake_sent_free(s);
	return n;
}

/* Up, with one worker, and submitted. */
static void open_searching(struct executor_rig *r)
{
	static const char *const topics[] = {"alpha", NULL};
	r->config.topics = topics;
	executor_open(r);
	fake_wire_tracks(r->wire); /* for its groups */
	executor_up(r);
	answer(r, -1);
	fake_wire_drop(r->wire);
	executor_submit(r, A1, "m.T");
	executor_pass(r, 100);
}

/* The question has come through the topic's queue: all its workers are asked. Returns that number. */
static int64_t asked(struct executor_rig *r)
{
	r->performer = "";
	open_searching(r);
	answer(r, number_to(r, "alpha"));
	int64_t number = number_to(r, GROUP);
	assert_true(number >= 0);
	return number;
}

static void what_nobody_claims_is_sent(void **state)
{
	struct executor_rig r = {0};
	(void)state;
	asked(&r);
	executor_pass(&r, 900);
	assert_int_equal(requests(&r), 0);
	executor_pass(&r, 300);
	assert_int_equal(requests(&r), 1);
	executor_close(&r);
}

static void what_waits_with_a_worker_is_not(void **state)
{
	struct executor_rig r = {0};
	(void)state;
	int64_t number = asked(&r);
	executor_respond(&r, A1, header(number, -1), "PENDING", "{}");
	executor_pass(&r, 30000);
	assert_int_equal(requests(&r), 0);
	executor_close(&r);
}

/* Who gave it back cannot know what has become of it: another may have taken it, ended it, and died. */
static void what_went_back_to_the_queue_is_asked_for_again(void **state)
{
	struct executor_rig r = {0};
	(void)state;
	int64_t number = asked(&r);
	executor_respond(&r, A1, header(number, 1), "PENDING", "{}");
	executor_pass(&r, 1200);
	int64_t question = number_to(&r, "alpha");
	assert_true(question >= 0);
	answer(&r, question);
	int64_t again = number_to(&r, GROUP);
	assert_true(again >= 0 && again != number);
	executor_pass(&r, 1200);
	assert_int_equal(requests(&r), 1);
	executor_close(&r);
}

/* Who had begun it is gone, and nobody claims it: that was one run of those that it may have. */
static void what_a_lost_worker_had_begun_counts_as_a_run(void **state)
{
	(void)state;
	for (unsigned attempts = 1; attempts <= 2; attempts++) {
		struct executor_rig r = {.config.attempts = attempts, .performer = W2};
		open_searching(&r);
		executor_pass(&r, 2600);
		answer(&r, number_to(&r, "alpha"));
		assert_true(number_to(&r, GROUP) >= 0);
		executor_pass(&r, 1200);
		assert_int_equal(requests(&r), attempts - 1);
		assert_int_equal(r.done, attempts == 1);
		if (r.done)
			assert_executor_failed(&r, "tfhost.WorkerLost", "which ran task 'add'");
		executor_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_claims_is_sent),
		cmocka_unit_test(what_waits_with_a_worker_is_not),
		cmocka_unit_test(what_went_back_to_the_queue_is_asked_for_again),
		cmocka_unit_test(what_a_lost_worker_had_begun_counts_as_a_run),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_search", tests, NULL, NULL);
}
