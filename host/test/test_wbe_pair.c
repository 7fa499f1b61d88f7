/* Engine side and worker side talk to each other over the memory transport, in real time; only the
 * tasks are scripted, and the faults. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "fake_pool.h"
#include "loop/loop.h"
#include "protocol/failure.h"
#include "transport/memory_fault.h"
#include "wbe/executor.h"
#include "wbe/server.h"
#include "wbe_names.h"

struct host { /* a worker host with its scripted tasks */
	struct tf_server *server;
	struct fake_pool *pool;
	struct tf_transport *wire;
	size_t stops;
};

struct pair {
	struct tf_loop *loop;
	struct tf_executor *x;
	struct tf_transport *wire; /* the engine's */
	struct host hosts[2];
	struct tf_timer *tick; /* keeps the loop turning */
	size_t done, failed, events;
	struct tf_value *result; /* owned; of the last completion */
	enum tf_action action;
};

static struct tf_transport *opened; /* the transport made last */

static int open_wire(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err)
{
	int rc = tf_transport_open(loop, config, events, arg, out, err);
	opened = rc == 0 ? *out : NULL;
	return rc;
}

static void on_done(void *arg, const struct tf_completion *c)
{
	struct pair *p = arg;
	p->done++;
	p->failed += c->failed;
	p->action = c->action;
	tf_value_unref(p->result);
	p->result = tf_value_ref(c->result);
}

static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	struct pair *p = arg;
	(void)atom, (void)round, (void)details;
	assert_string_equal(type, "update_progress");
	p->events++;
}

static void on_tick(void *arg)
{
	(void)arg;
}

static void on_stopped(void *arg, const struct tf_err *err)
{
	struct host *h = arg;
	assert_null(err);
	h->stops++;
}

static void host_open(struct pair *p, struct host *h, const char *topic, const char *class)
{
	static const struct tf_server_events events = {.stopped = on_stopped};
	const struct tf_wbe_seam seam = {.clock = tf_loop_clock(p->loop), .open = open_wire};
	const struct tf_server_config config = {.transport = {.exchange = "x", .transport = "memory"},
		.topic = topic,
		.pool = {.slots = 2},
		.beat_ms = 20};
	struct tf_err err;
	if (tf_server_new_with(p->loop, &config, &seam, &fake_pool_ops, &events, h, &h->server, &err) < 0)
		fail_msg("%s", err.message);
	h->pool = fake_pool_last;
	h->wire = opened;
	fake_pool_ready(h->pool, (const char *const[]){class, NULL});
}

static void pair_open(struct pair *p)
{
	static const char *const topics[] = {"one", "two", NULL};
	const struct tf_wbe_config config = {.transport = {.exchange = "x", .transport = "memory"},
		.topics = topics,
		.reply_topic = FLOW,
		.silence_ms = 300,
		.grace_ms = 600,
		.transition_timeout_ms = 1000};
	struct tf_err err;
	memset(p, 0, sizeof(*p));
	p->loop = tf_loop_new();
	p->tick = tf_timer_new(p->loop, on_tick, NULL);
	tf_timer_start(p->tick, 5, 5);
	const struct tf_wbe_seam seam = {.clock = tf_loop_clock(p->loop), .open = open_wire};
	if (tf_executor_wbe_new_with(p->loop, &config, &seam, &p->x, &err) < 0 ||
		p->x->ops->start(p->x, &err) < 0)
		fail_msg("%s", err.message);
	p->wire = opened;
	p->x->events = (struct tf_executor_events){.done = on_done, .event = on_event};
	p->x->arg = p;
}

static void pair_close(struct pair *p)
{
	p->x->ops->stop(p->x);
	p->x->ops->destroy(p->x);
	for (int i = 0; i < 2; i++)
		tf_server_delete(p->hosts[i].server);
	tf_timer_delete(p->tick);
	tf_value_unref(p->result);
	tf_loop_delete(p->loop);
}

/* Turn the loop until `condition` holds; a test that waits for more than 10 s fails. */
#define until(p, condition) \
	do { \
		uint64_t end = tf_clock_ms(tf_loop_clock((p)->loop)) + 10000; \
		while (!(condition)) { \
			if (tf_clock_ms(tf_loop_clock((p)->loop)) > end) \
				fail_msg("waited in vain for " #condition); \
			tf_loop_turn((p)->loop, true); \
		} \
	} while (0)

static void idle(struct pair *p, uint64_t ms)
{
	uint64_t end = tf_clock_ms(tf_loop_clock(p->loop)) + ms;
	while (tf_clock_ms(tf_loop_clock(p->loop)) < end)
		tf_loop_turn(p->loop, true);
}

static void submit(struct pair *p, const char *class, enum tf_action action, const char *result)
{
	struct tf_err err;
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL), *args = tf_value_empty_object(),
			*given = result ? tf_value_parse(result, strlen(result), 0, NULL) : NULL;
	const struct tf_work w = {.uuid = A1,
		.round = 1,
		.name = "add",
		.task_cls = class,
		.task_version = version,
		.action = action,
		.arguments = args,
		.result = given,
		.failures = action == TF_REVERT ? args : NULL};
	if (p->x->ops->submit(p->x, &w, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(version);
	tf_value_unref(args);
	tf_value_unref(given);
}

static void assert_failure(const struct pair *p, const char *type, const char *text)
{
	char *have = tf_failure_summary(tf_value_json(p->result));
	if (!tf_failure_is(tf_value_json(p->result), type) || !strstr(have, text))
		fail_msg("want %s ... %s, have %s", type, text, have);
	free(have);
}

/* ---- */

static void a_task_is_executed_and_reverted(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	struct fake_pool *pool = p.hosts[0].pool;
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, pool->count == 1);
	fake_pool_started(pool, 0);
	fake_pool_event(pool, 0, "update_progress", "{\"progress\": 0.5}");
	fake_pool_done(pool, 0, false, "123456789012345678901234567890");
	until(&p, p.done == 1);
	assert_int_equal(p.failed, 0);
	assert_int_equal(p.events, 1);
	assert_string_equal(tf_value_text(p.result), "123456789012345678901234567890");

	submit(&p, "m.T", TF_REVERT, "[1.0, {}]");
	until(&p, pool->count == 1);
	assert_int_equal(pool->jobs[0].request.action, TF_REVERT);
	assert_string_equal(tf_value_text(pool->jobs[0].request.result), "[1.0, {}]");
	fake_pool_started(pool, 0);
	fake_pool_done(pool, 0, true,
		"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"ValueError\", "
		"\"Exception\"], "
		"\"version\": 1, \"exc_args\": [\"x\"], \"causes\": []}");
	until(&p, p.done == 2);
	assert_int_equal(p.action, TF_REVERT);
	assert_failure(&p, "ValueError", "x");
	until(&p, p.hosts[0].wire->queued == 0);
	pair_close(&p);
}

/* The flow starts within moments of its worker's arrival, and of each class's own worker. */
static void work_goes_to_who_offers_it(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	submit(&p, "m.U", TF_EXECUTE, NULL);
	host_open(&p, &p.hosts[0], "one", "m.T");
	idle(&p, 200);
	uint64_t arrival = tf_clock_ms(tf_loop_clock(p.loop));
	host_open(&p, &p.hosts[1], "two", "m.U");
	until(&p, p.hosts[1].pool->count == 1);
	assert_in_range(tf_clock_ms(tf_loop_clock(p.loop)) - arrival, 0, 1000);
	assert_int_equal(p.hosts[0].pool->count, 0);
	fake_pool_started(p.hosts[1].pool, 0);
	fake_pool_done(p.hosts[1].pool, 0, false, "1");
	until(&p, p.done == 1);
	pair_close(&p);
}

static void beats_keep_a_long_task_alive_and_silence_ends_it(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.hosts[0].pool->count == 1);
	fake_pool_started(p.hosts[0].pool, 0);
	idle(&p, 1000); /* three times the silence allowed */
	assert_int_equal(p.done, 0);
	tf_memory_set_up(p.hosts[0].wire, false);
	until(&p, p.done == 1);
	assert_failure(&p, "tfhost.WorkerLost", tf_server_uuid(p.hosts[0].server));
	assert_failure(&p, "tfhost.WorkerLost", "topic 'one'");
	/* it comes back and tells what nobody wants to know any more */
	tf_memory_set_up(p.hosts[0].wire, true);
	fake_pool_done(p.hosts[0].pool, 0, false, "1");
	idle(&p, 100);
	assert_int_equal(p.done, 1);
	pair_close(&p);
}

/* The final message is lost with the broker; asked again, the worker answers from its ledger. */
static void a_lost_outcome_is_asked_for_again(void **state)
{
	(void)state;
	struct pair p;
	struct tf_server_stats st;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.hosts[0].pool->count == 1);
	fake_pool_started(p.hosts[0].pool, 0);
	idle(&p, 50);
	tf_memory_drop(p.hosts[0].wire, 1);
	fake_pool_done(p.hosts[0].pool, 0, false, "\"once\"");
	idle(&p, 20);
	tf_memory_drop(p.hosts[0].wire, 0); /* none left, unless a beat took the fault */
	assert_int_equal(p.done, 0);
	tf_memory_set_up(p.wire, false);
	idle(&p, 400); /* longer than the silence allowed: it does not count */
	assert_int_equal(p.done, 0);
	tf_memory_set_up(p.wire, true);
	until(&p, p.done == 1);
	assert_int_equal(p.failed, 0);
	assert_string_equal(tf_value_text(p.result), "\"once\"");
	until(&p, (tf_server_stats(p.hosts[0].server, &st), st.answered_from_ledger == 1));
	assert_int_equal(st.requests, 1);
	assert_int_equal(p.hosts[0].pool->count, 0);
	pair_close(&p);
}

/* Both sides lose their connection while the task runs: it is joined, not run again. */
static void a_running_task_survives_the_broker(void **state)
{
	(void)state;
	struct pair p;
	struct tf_server_stats st;
	struct tf_wbe_stats es;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.hosts[0].pool->count == 1);
	fake_pool_started(p.hosts[0].pool, 0);
	idle(&p, 50);
	for (int i = 0; i < 3; i++) {
		tf_memory_set_up(p.wire, false);
		tf_memory_set_up(p.hosts[0].wire, false);
		idle(&p, 350);
		tf_memory_set_up(p.wire, true);
		idle(&p, 100);
		tf_memory_set_up(p.hosts[0].wire, true);
		idle(&p, 100);
	}
	assert_int_equal(p.done, 0);
	fake_pool_done(p.hosts[0].pool, 0, false, "\"once\"");
	until(&p, p.done == 1);
	assert_int_equal(p.failed, 0);
	tf_server_stats(p.hosts[0].server, &st);
	tf_executor_wbe_stats(p.x, &es);
	assert_int_equal(st.requests, 1);
	assert_int_equal(es.lost, 0);
	assert_true(es.resent >= 1);
	pair_close(&p);
}

/* Killed: its connection goes, and the broker gives its request to the other worker of the topic. */
static void another_worker_takes_over(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	host_open(&p, &p.hosts[1], "one", "m.T");
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.hosts[0].pool->count + p.hosts[1].pool->count == 1);
	int first = p.hosts[0].pool->count ? 0 : 1;
	fake_pool_started(p.hosts[first].pool, 0);
	idle(&p, 50);
	tf_server_delete(p.hosts[first].server);
	p.hosts[first].server = NULL;
	struct fake_pool *other = p.hosts[!first].pool;
	until(&p, other->count == 1);
	fake_pool_started(other, 0);
	idle(&p, 600);
	assert_int_equal(p.done, 0);
	fake_pool_done(other, 0, false, "2");
	until(&p, p.done == 1);
	assert_int_equal(p.failed, 0);
	pair_close(&p);
}

static void a_drained_worker_leaves_the_rest_to_others(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	host_open(&p, &p.hosts[0], "one", "m.T");
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.hosts[0].pool->count == 1);
	fake_pool_started(p.hosts[0].pool, 0);
	tf_server_drain(p.hosts[0].server, 0);
	idle(&p, 50);
	assert_int_equal(p.hosts[0].stops, 0);
	fake_pool_done(p.hosts[0].pool, 0, false, "1");
	until(&p, p.hosts[0].stops == 1);
	until(&p, p.done == 1);
	assert_int_equal(p.failed, 0);
	pair_close(&p);
}

static void without_a_worker_a_request_expires(void **state)
{
	(void)state;
	struct pair p;
	pair_open(&p);
	submit(&p, "m.T", TF_EXECUTE, NULL);
	until(&p, p.done == 1);
	assert_failure(&p, "taskflow.exceptions.RequestTimeout", "no worker that offers 'm.T'");
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_is_executed_and_reverted),
		cmocka_unit_test(work_goes_to_who_offers_it),
		cmocka_unit_test(beats_keep_a_long_task_alive_and_silence_ends_it),
		cmocka_unit_test(a_lost_outcome_is_asked_for_again),
		cmocka_unit_test(a_running_task_survives_the_broker),
		cmocka_unit_test(another_worker_takes_over),
		cmocka_unit_test(a_drained_worker_leaves_the_rest_to_others),
		cmocka_unit_test(without_a_worker_a_request_expires),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_pair", tests, NULL, NULL);
}
