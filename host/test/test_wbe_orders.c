/* Every order of what can happen to one request gives exactly one outcome. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "executor_rig.h"
#include "protocol/failure.h"
#include "protocol/peer.h"

enum { EXPIRY_S = 20 }; /* the transition timeout: a short one, there are many orders */

enum happening { RUNNING, SUCCESS, AGAIN, FAILED, EXPIRY, LOSS, STALE, BEAT, RESUME, HAPPENINGS };
static const char *const names[] = {
	"RUNNING", "SUCCESS", "AGAIN", "FAILED", "EXPIRY", "LOSS", "STALE", "BEAT", "RESUME"};

/* What has an outcome is not submitted again; of the rest it is known who ran it, if that one said so. */
static void resume(struct executor_rig *r)
{
	assert_int_equal(r->wire->unsettled, 0);
	executor_resume(r);
	executor_up(r);
	executor_answer(r, "alpha", "m.T", executor_by(W2, -1)); /* somebody is there */
	r->performer = r->performer_seen;
	if (!r->done)
		executor_submit(r, A1, "m.T");
	r->performer = NULL;
}

static void happen(struct executor_rig *r, enum happening h)
{
	switch (h) {
	case RUNNING:
		executor_respond(r, A1, executor_by(W1, 1), "RUNNING", "{}");
		break;
	case SUCCESS:
	case AGAIN:
		executor_respond(r, A1, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
		break;
	case FAILED:
		executor_respond(r, A1, executor_by(W1, 1), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
		break;
	case EXPIRY:
		for (int i = 0; i < EXPIRY_S + 3; i++) { /* the worker lives, it just does not start */
			tf_clock_fake_advance(&r->clock, 1000);
			executor_answer(r, "alpha", "m.T", executor_by(W1, -1));
			tf_executor_wbe_tick(r->x);
		}
		break;
	case LOSS:
		for (int i = 0; i < 3; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			tf_executor_wbe_tick(r->x);
		}
		break;
	case BEAT:
		executor_answer(r, "alpha", "m.T", executor_by(W1, -1));
		break;
	case RESUME:
		resume(r);
		break;
	default:
		executor_respond(r, A1, executor_by(W1, 0), "SUCCESS", "{\"result\": 0}");
		break;
	}
	tf_executor_wbe_tick(r->x);
}

/* What should come of it, told in a few lines of its own. */
static const char *expected(const enum happening *order, size_t n)
{
	bool begun = false, running = false; /* the latter: as far as this engine has heard */
	for (size_t i = 0; i < n; i++) {
		if (order[i] == RUNNING)
			begun = running = true;
		else if (order[i] == SUCCESS || order[i] == AGAIN)
			return "success";
		else if (order[i] == FAILED)
			return "E";
		else if (order[i] == EXPIRY && !running)
			return "taskflow.exceptions.RequestTimeout";
		else if (order[i] == LOSS && begun)
			return "tfhost.WorkerLost";
		else if (order[i] == RESUME)
			running = false;
	}
	return NULL;
}

static size_t try_order(struct executor_rig *r, const enum happening *order, size_t n)
{
	const char *want = expected(order, n);
	r->done = r->failed = 0;
	r->performer_seen[0] = '\0';
	executor_answer(r, "alpha", "m.T", executor_by(W1, -1)); /* a topic is forgotten with its worker */
	executor_submit(r, A1, "m.T");
	for (size_t i = 0; i < n; i++)
		happen(r, order[i]);
	if (r->done != (want != NULL)) {
		for (size_t i = 0; i < n; i++)
			print_message("%s ", names[order[i]]);
		fail_msg("%zu outcomes, expected %s", r->done, want ? want : "none");
	}
	if (!want) { /* clear the table for the next order */
		happen(r, FAILED);
	} else if (strcmp(want, "success") != 0) {
		assert_true(r->last.failed && tf_failure_is(tf_value_json(r->last.result), want));
	} else {
		assert_false(r->last.failed);
		assert_string_equal(tf_value_text(r->last.result), "1");
	}
	assert_int_equal(executor_stats(r).in_flight, 0);
	fake_wire_drop(r->wire);
	return 1;
}

/* All ordered selections of `left` of the happenings not yet used. */
static size_t permute(struct executor_rig *r, enum happening *order, size_t n, unsigned used, size_t left)
{
	if (!left)
		return try_order(r, order, n);
	size_t tried = 0;
	for (int h = 0; h < HAPPENINGS; h++) {
		if (used & 1u << h)
			continue;
		order[n] = (enum happening)h;
		tried += permute(r, order, n + 1, used | 1u << h, left - 1);
	}
	return tried;
}

static void every_order_gives_exactly_one_outcome(void **state)
{
	(void)state;
	struct executor_rig r = {.config = {.attempts = 1, .transition_timeout_ms = EXPIRY_S * 1000}};
	enum happening order[HAPPENINGS];
	size_t tried = 0;
	executor_open(&r);
	executor_up(&r);
	executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	for (size_t n = 0; n <= 5; n++)
		tried += permute(&r, order, 0, 0, n);
	assert_int_equal(tried, 1 + 9 + 72 + 504 + 3024 + 15120);
	assert_int_equal(r.wire->unsettled, 0);
	executor_close(&r);
}

/* Two workers, two attempts: what can happen to one request, in every order. */
enum turn { RUNS_1, RUNS_2, ENDS_1, ENDS_2, FAILS, WAITS, LOST, LOST_AGAIN, OLD_ROUND, TURNS };

static void turn(struct executor_rig *r, enum turn t)
{
	switch (t) {
	case RUNS_1:
	case RUNS_2:
		executor_respond(r, A1, executor_by(t == RUNS_1 ? W1 : W2, 1), "RUNNING", "{}");
		break;
	case ENDS_1:
	case ENDS_2:
		executor_respond(r, A1, executor_by(t == ENDS_1 ? W1 : W2, 1), "SUCCESS", "{\"result\": 1}");
		break;
	case FAILS:
		executor_respond(r, A1, executor_by(W2, 1), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
		break;
	case WAITS:
		for (int i = 0; i < EXPIRY_S + 3; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			executor_answer(r, "alpha", "m.T", executor_by(W1, -1));
			executor_answer(r, "alpha", "m.T", executor_by(W2, -1));
			tf_executor_wbe_tick(r->x);
		}
		break;
	case LOST:
	case LOST_AGAIN:
		for (int i = 0; i < 3; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			tf_executor_wbe_tick(r->x);
		}
		executor_answer(r, "alpha", "m.T", "{\"v\":1}"); /* somebody is there */
		break;
	default:
		executor_respond(r, A1, executor_by(W1, 0), "SUCCESS", "{\"result\": 0}");
		break;
	}
	tf_executor_wbe_tick(r->x);
}

/* The outcome, and how often the request was sent. */
static const char *foretold(const enum turn *order, size_t n, int64_t *sendings)
{
	bool running = false;
	*sendings = 1;
	for (size_t i = 0; i < n; i++) {
		switch (order[i]) {
		case RUNS_1:
		case RUNS_2:
			running = true;
			break;
		case ENDS_1:
		case ENDS_2:
			return "success";
		case FAILS:
			return "E";
		case WAITS:
			if (!running)
				return *sendings == 1 ? "taskflow.exceptions.RequestTimeout"
						      : "tfhost.WorkerLost";
			break;
		case LOST:
		case LOST_AGAIN:
			if (running && *sendings == 2)
				return "tfhost.WorkerLost";
			*sendings += running;
			running = false;
			break;
		default:
			break;
		}
	}
	return NULL;
}

static void try_turns(struct executor_rig *r, const enum turn *order, size_t n)
{
	int64_t sendings, last = 0;
	const char *want = foretold(order, n, &sendings);
	struct fake_sent *s;
	r->done = 0;
	executor_answer(r, "alpha", "m.T", executor_by(W1, -1));
	executor_submit(r, A1, "m.T");
	for (size_t i = 0; i < n; i++)
		turn(r, order[i]);
	if (r->done != (want != NULL))
		fail_msg("%zu outcomes", r->done);
	if (want && strcmp(want, "success") != 0)
		assert_true(r->last.failed && tf_failure_is(tf_value_json(r->last.result), want));
	else if (want)
		assert_true(!r->last.failed && !strcmp(tf_value_text(r->last.result), "1"));
	else
		turn(r, FAILS);
	assert_int_equal(r->done, 1);
	assert_int_equal(executor_stats(r).in_flight, 0);
	while ((s = executor_next_request(r)) != NULL) {
		assert_int_equal(tf_peer_parse(s->m.peer).dispatch, ++last);
		fake_sent_free(s);
	}
	assert_int_equal(last, sendings);
}

static size_t permute_turns(struct executor_rig *r, enum turn *order, size_t n, unsigned used, size_t left)
{
	size_t tried = 1;
	try_turns(r, order, n);
	for (int t = 0; left && t < TURNS; t++) {
		if (used & 1u << t)
			continue;
		order[n] = (enum turn)t;
		tried += permute_turns(r, order, n + 1, used | 1u << t, left - 1);
	}
	return tried;
}

static void every_order_of_a_fail_over_gives_one_outcome(void **state)
{
	(void)state;
	struct executor_rig r = {.config = {.attempts = 2, .transition_timeout_ms = EXPIRY_S * 1000}};
	enum turn order[TURNS];
	executor_open(&r);
	executor_up(&r);
	assert_int_equal(permute_turns(&r, order, 0, 0, 5), 1 + 9 + 72 + 504 + 3024 + 15120);
	assert_int_equal(r.wire->unsettled, 0);
	executor_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_gives_exactly_one_outcome),
		cmocka_unit_test(every_order_of_a_fail_over_gives_one_outcome),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_orders", tests, NULL, NULL);
}
