/* A request that an operator has purged from its queue (wbe/vanished.c): it is sent again, and no other is. */
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "executor_rig.h"
#include "protocol/peer.h"

/* The header of an answer to the probe, or the question, with this number. */
static const char *header(int64_t echo)
{
	static char buf[TF_PEER_MAX];
	struct tf_peer p = TF_PEER_INIT;
	strcpy(p.worker, W1);
	p.round = 1;
	p.action = TF_EXECUTE;
	p.echo = echo;
	return tf_peer_write(&p, buf);
}

/* PENDING: sent to the queue of alpha, which has it. */
static void open_pending(struct executor_rig *r)
{
	static const char *const topics[] = {"alpha", NULL};
	r->config.topics = topics;
	executor_open(r);
	fake_wire_tracks(r->wire); /* for its groups */
	executor_up(r);
	executor_answer(r, "alpha", "m.T", executor_by(W1, -1));
	executor_submit(r, A1, "m.T");
	struct fake_sent *s = executor_next_request(r);
	fake_wire_confirm(r->wire, s->id, TF_PUBLISHED);
	fake_sent_free(s);
}

/* So many seconds with an idle worker that answers probes; `claims`: and says that it has the request when it is asked. How
 * often it was asked, and in *sent how often it got the request. */
static unsigned idle(struct executor_rig *r, unsigned seconds, bool claims, unsigned *sent)
{
	unsigned asks = 0;
	*sent = 0;
	for (unsigned i = 0; i < seconds; i++) {
		struct fake_sent *s;
		executor_pass(r, 1000);
		while ((s = fake_wire_take(r->wire)) != NULL) {
			const struct tf_peer peer = tf_peer_parse(s->m.peer);
			*sent += !strcmp(s->m.type, "REQUEST");
			asks += peer.ask == 1;
			if (!strcmp(s->m.topic, "alpha") && peer.echo >= 0)
				executor_answer(r, "alpha", "m.T", header(peer.echo));
			else if (peer.ask == 1 && claims)
				executor_respond(r, A1, header(peer.echo), "PENDING", "{}");
			fake_sent_free(s);
		}
	}
	return asks;
}

static void what_was_purged_is_sent_again(void **state)
{
	struct executor_rig r = {0};
	unsigned sent;
	(void)state;
	open_pending(&r);
	assert_int_equal(idle(&r, 7, false, &sent), 0);
	assert_in_range(idle(&r, 24, false, &sent), 3, 6);
	assert_int_equal(sent, 0); /* it may be with one that stands still */
	idle(&r, 12, false, &sent);
	assert_int_equal(sent, 1);
	executor_close(&r);
}

static void what_a_worker_has_is_not(void **state)
{
	struct executor_rig r = {0};
	unsigned sent;
	(void)state;
	open_pending(&r);
	assert_in_range(idle(&r, 600, true, &sent), 8, 70);
	assert_int_equal(sent, 0);
	assert_int_equal(r.done, 0);
	executor_close(&r);
}

/* What stands behind others in the queue is not asked for: the probe stands behind it. */
static void what_waits_in_the_queue_is_not(void **state)
{
	struct executor_rig r = {.config.transition_timeout_ms = -1};
	(void)state;
	open_pending(&r);
	for (int i = 0; i < 600; i++) {
		struct fake_sent *s;
		executor_pass(&r, 1000);
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1)); /* unasked, as busy ones do */
		while ((s = fake_wire_take(r.wire)) != NULL) {
			assert_string_equal(s->m.type, "NOTIFY");
			assert_int_equal(tf_peer_parse(s->m.peer).ask, -1);
			fake_sent_free(s);
		}
	}
	executor_close(&r);
}

/* Nor what a Python worker may have. */
static void who_cannot_be_asked_may_have_it(void **state)
{
	struct executor_rig r = {0};
	unsigned sent;
	(void)state;
	open_pending(&r);
	executor_answer(&r, "alpha", "m.T", NULL);
	assert_int_equal(idle(&r, 58, false, &sent), 0);
	assert_int_equal(sent, 0);
	executor_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_purged_is_sent_again),
		cmocka_unit_test(what_a_worker_has_is_not),
		cmocka_unit_test(what_waits_in_the_queue_is_not),
		cmocka_unit_test(who_cannot_be_asked_may_have_it),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_vanished", tests, NULL, NULL);
}
