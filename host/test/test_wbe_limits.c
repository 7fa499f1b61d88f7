/* What a worker lets wait, refuses and lets pass: priorities, concurrency of classes, sizes. Over a scripted transport, a
 * scripted pool, and a clock that the test steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "server_rig.h"

enum { NAMES = 64 };

static const char *const classes[] = {"m.Few", "m.Many", NULL};

/* One slot unless told. */
static void limits_open(struct server_rig *r)
{
	r->classes = classes;
	r->limited = "m.Few";
	if (!r->config.pool.slots)
		r->config.pool.slots = 1;
	server_open(r);
}

static void deliver(struct server_rig *r, const char *cls, const char *action, const char *name,
	const char *header, const char *arguments)
{
	char id[TF_UUID_LEN + 1];
	tf_uuid(id);
	char *body = tf_asprintf("{\"task_cls\": \"%s\", \"task_name\": \"%s\", \"task_version\": [1, 0], "
				 "\"action\": \"%s\", \"arguments\": %s}",
		cls, name, action, arguments);
	server_deliver(r, "REQUEST", id, header, body, false);
	free(body);
}

static void request(struct server_rig *r, const char *cls, const char *name, int priority)
{
	char header[80];
	snprintf(header, sizeof(header), "{\"v\":1,\"round\":1,\"priority\":%d}", priority);
	deliver(r, cls, "execute", name, header, "{}");
}

/* Of m.Few, a request for each letter. */
static void request_few(struct server_rig *r, const char *letters, int priority)
{
	for (; *letters; letters++)
		request(r, "m.Few", (char[]){*letters, '\0'}, priority);
}

static void append(char names[NAMES], const char *name)
{
	size_t len = strlen(names);
	snprintf(names + len, NAMES - len, "%s", name);
}

/* Names of what is in slots. */
static const char *running(const struct server_rig *r)
{
	static char names[NAMES];
	names[0] = '\0';
	for (size_t i = 0; i < r->pool->count; i++)
		append(names, r->pool->jobs[i].request.task_name);
	return names;
}

static void finish(struct server_rig *r, size_t i)
{
	fake_pool_started(r->pool, i);
	fake_pool_done(r->pool, i, false, "1");
	fake_wire_drop(r->wire);
}

/* All that is left, one after the other. */
static const char *order(struct server_rig *r)
{
	static char names[NAMES];
	names[0] = '\0';
	while (r->pool->count) {
		append(names, r->pool->jobs[0].request.task_name);
		finish(r, 0);
	}
	return names;
}

/* The only message that was sent says this. */
static void expect(struct server_rig *r, const char *const *texts)
{
	struct fake_sent *s = fake_wire_take(r->wire);
	assert_non_null(s);
	for (; *texts; texts++) {
		if (!strstr(s->m.body, *texts))
			fail_msg("want %s\nhave %s", *texts, s->m.body);
	}
	fake_sent_free(s);
	assert_int_equal(r->wire->sent_count, 0);
}

/* ---- priorities */

static void a_free_slot_takes_the_highest_priority(void **state)
{
	(void)state;
	struct server_rig r = {.config.transport.prefetch = 16};
	limits_open(&r);
	request(&r, "m.Many", "x", 0); /* it has the slot already */
	request(&r, "m.Many", "a", -1);
	request(&r, "m.Many", "b", 0);
	request(&r, "m.Many", "c", 7);
	deliver(&r, "m.Many", "execute", "d", NULL, "{}"); /* Python gives none: 0 */
	request(&r, "m.Many", "e", 7);
	assert_string_equal(order(&r), "xcebda");
	server_close(&r);
}

/* What the pool gives back keeps its rank. */
static void what_comes_back_keeps_its_rank(void **state)
{
	(void)state;
	struct server_rig r = {.config.transport.prefetch = 16};
	limits_open(&r);
	request(&r, "m.Many", "a", 5);
	request(&r, "m.Many", "b", 3);
	request(&r, "m.Many", "c", 5);
	fake_pool_back(r.pool, 0);
	request(&r, "m.Many", "d", 5);
	assert_string_equal(order(&r), "acdb");
	server_close(&r);
}

/* ---- concurrency */

static void a_class_has_a_limit(void **state)
{
	(void)state;
	struct server_rig r = {
		.config = {.pool.slots = 4, .transport.prefetch = 16}, .class_limits = {.concurrency = 2}};
	limits_open(&r);
	request_few(&r, "abcd", 9);
	request(&r, "m.Many", "x", 0);
	assert_string_equal(running(&r), "abx"); /* nobody waits for what has to wait */
	request(&r, "m.Many", "y", 0);
	assert_string_equal(running(&r), "abxy");
	finish(&r, 0);
	assert_string_equal(running(&r), "bxyc");
	finish(&r, 1);
	assert_string_equal(running(&r), "byc"); /* a slot is free, the class is not */
	finish(&r, 0);
	assert_string_equal(running(&r), "ycd");
	server_close(&r);
}

static void the_worker_knows_better_than_the_class(void **state)
{
	(void)state;
	static struct tf_concurrency own[] = {{.cls = (char *)"m.Few", .limit = 1}};
	struct server_rig r = {.config = {.pool.slots = 4,
				       .transport.prefetch = 16,
				       .concurrency = own,
				       .concurrency_count = 1},
		.class_limits = {.concurrency = 3}};
	limits_open(&r);
	request_few(&r, "abcd", 0);
	assert_string_equal(running(&r), "a");
	finish(&r, 0);
	assert_string_equal(running(&r), "b");
	server_close(&r);
}

/* A revert uses what the class is limited for, too. */
static void reverts_count(void **state)
{
	(void)state;
	struct server_rig r = {
		.config = {.pool.slots = 4, .transport.prefetch = 16}, .class_limits = {.concurrency = 1}};
	limits_open(&r);
	deliver(&r, "m.Few", "revert", "a", "{\"v\":1,\"round\":1}", "{}");
	request(&r, "m.Few", "b", 0);
	assert_string_equal(running(&r), "a");
	server_close(&r);
}

/* What waits for its class does not keep others from coming here, and is offered to other workers after a while. */
static void what_waits_for_its_class_takes_no_place(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 2}, .class_limits = {.concurrency = 1}};
	limits_open(&r);
	assert_int_equal(r.wire->limit, 0); /* as it was opened: 4 */
	request_few(&r, "abcd", 0);
	assert_int_equal(r.wire->limit, 4 + 4); /* three wait for their class: room in steps */
	request(&r, "m.Many", "x", 0);
	assert_string_equal(running(&r), "ax");
	server_pass(&r, 600);
	finish(&r, 1); /* others go on: nothing stands still here */
	request(&r, "m.Many", "y", 0);
	server_pass(&r, 300);
	assert_int_equal(r.wire->requeued, 0);
	finish(&r, 1);
	request(&r, "m.Many", "z", 0);
	server_pass(&r, 300);
	assert_int_equal(r.wire->requeued, 3);
	server_pass(&r, 100);
	assert_int_equal(r.wire->limit, 4);
	request_few(&r, "bcd", 0); /* straight back: at growing distances */
	server_pass(&r, 1500);
	assert_int_equal(r.wire->requeued, 3);
	server_pass(&r, 700);
	assert_int_equal(r.wire->requeued, 6);
	server_close(&r);
}

static void a_drain_gives_back_what_waits_for_its_class(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 2}, .class_limits = {.concurrency = 1}};
	limits_open(&r);
	request(&r, "m.Few", "a", 0);
	request(&r, "m.Few", "b", 0);
	tf_server_drain(r.s, 0);
	assert_int_equal(r.wire->requeued, 1);
	assert_string_equal(running(&r), "a");
	server_close(&r);
}

/* ---- sizes */

static void arguments_that_are_too_large_reach_no_slot(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.limits = {.arguments = 20}, .pool.slots = 4}};
	limits_open(&r);
	deliver(&r, "m.Many", "execute", "fits", NULL, "{\"a\": \"0123456789\"}");
	assert_int_equal(r.pool->count, 1);
	deliver(&r, "m.Many", "execute", "large", NULL, "{\"a\": \"01234567890123\"}");
	assert_int_equal(r.pool->count, 1);
	expect(&r, (const char *[]){"FAILURE", "tfhost.SizeLimitExceeded", "tfhost.LimitExceeded", "'large'",
			   "arguments of 23 bytes", "limit of 20 bytes", NULL});
	/* A revert that is not made would be worse. */
	deliver(&r, "m.Many", "revert", "back", NULL, "{\"a\": \"01234567890123\"}");
	assert_string_equal(running(&r), "fitsback");
	server_close(&r);
}

static void a_result_that_is_too_large_is_a_failure(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.limits = {.result = 20}}};
	limits_open(&r);
	deliver(&r, "m.Many", "execute", "t", "{\"v\":1,\"round\":1}", "{}");
	fake_pool_done(r.pool, 0, false, "\"012345678901234567\"");
	expect(&r, (const char *[]){"SUCCESS", NULL});
	deliver(&r, "m.Many", "execute", "t", "{\"v\":1,\"round\":1}", "{}");
	fake_pool_done(r.pool, 0, false, "\"0123456789012345678\"");
	expect(&r, (const char *[]){"FAILURE", "tfhost.SizeLimitExceeded", "'t'", "result of 21 bytes",
			   "limit of 20 bytes", NULL});
	/* A failure has to say what happened. */
	deliver(&r, "m.Many", "execute", "t", "{\"v\":1,\"round\":1}", "{}");
	fake_pool_done(r.pool, 0, true,
		"{\"exception_str\": \"it is full\", \"traceback_str\": \"\", \"exc_type_names\": "
		"[\"Exception\"], \"version\": 1}");
	expect(&r, (const char *[]){"FAILURE", "it is full", NULL});
	server_close(&r);
}

/* The flow's word counts before the class's, that before the worker's. */
static void who_says_the_size_first(void **state)
{
	(void)state;
	struct server_rig r = {
		.config = {.limits = {.arguments = 10}, .pool.slots = 8}, .class_limits = {.arguments = 20}};
	limits_open(&r);
	deliver(&r, "m.Few", "execute", "a", NULL, "{\"a\": \"0123456789\"}"); /* 19 */
	assert_string_equal(running(&r), "a");
	deliver(&r, "m.Many", "execute", "b", NULL, "{\"a\": \"0123456789\"}");
	expect(&r, (const char *[]){"limit of 10 bytes", NULL});
	deliver(&r, "m.Few", "execute", "c", "{\"v\":1,\"round\":1,\"arguments\":18}",
		"{\"a\": \"0123456789\"}");
	expect(&r, (const char *[]){"limit of 18 bytes", NULL});
	deliver(&r, "m.Many", "execute", "d", "{\"v\":1,\"round\":1,\"arguments\":19}",
		"{\"a\": \"0123456789\"}");
	assert_string_equal(running(&r), "ad");
	server_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_free_slot_takes_the_highest_priority),
		cmocka_unit_test(what_comes_back_keeps_its_rank),
		cmocka_unit_test(a_class_has_a_limit),
		cmocka_unit_test(the_worker_knows_better_than_the_class),
		cmocka_unit_test(reverts_count),
		cmocka_unit_test(what_waits_for_its_class_takes_no_place),
		cmocka_unit_test(a_drain_gives_back_what_waits_for_its_class),
		cmocka_unit_test(arguments_that_are_too_large_reach_no_slot),
		cmocka_unit_test(a_result_that_is_too_large_is_a_failure),
		cmocka_unit_test(who_says_the_size_first),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_limits", tests, NULL, NULL);
}
