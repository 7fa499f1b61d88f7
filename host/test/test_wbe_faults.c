/* An engine and two workers on a broker that misbehaves, in virtual time: connections are cut, the
 * broker restarts and forgets its queues, queues go with their last reader and are made anew by others, messages come
 * twice, workers are slow or die, the engine is killed and another one goes on. Random, from a printed seed (TF_SEED repeats one).
 *
 * Whatever happens: each request gets exactly one outcome, and soon: its task's, or WorkerLost, never a
 * timeout. Nothing is left unsettled. As long as no connection was lost, nothing runs twice and
 * nothing fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "clock_fake.h"
#include "cmocka_all.h"
#include "fake_pool.h"
#include "fake_wire.h"
#include "loop/loop.h"
#include "protocol/failure.h"
#include "wbe/executor.h"
#include "wbe/server.h"
#include "wbe_names.h"

enum { ENDS = 3, ATOMS = 20, TAGS = 1 << 16, STEP_MS = 50 };

struct letter {
	TAILQ_ENTRY(letter) link;
	struct fake_sent *sent; /* owned */
	bool redelivered;
};
TAILQ_HEAD(letters, letter);

struct queue {
	TAILQ_ENTRY(queue) link;
	char *topic;     /* owned */
	unsigned number; /* another one for each queue that there was */
	bool read;       /* somebody reads it, or did */
	struct letters letters;
};

struct end { /* one connection: 0 the engine's, the others a worker's */
	struct world *world;
	struct fake_wire *wire;
	struct tf_server *server;
	struct fake_pool *pool;
	struct letter *unsettled[TAGS]; /* owned; by tag */
	size_t unsettled_count;
	size_t running; /* jobs of the pool that run: the oldest ones */
	bool dead;
	unsigned route; /* number of the queue of "one" that it tracks; 0: none */
};

struct atom {
	char uuid[TF_UUID_LEN + 1];
	int64_t round;
	enum tf_action action;         /* of the present round */
	char *performer;               /* owned; kept for a later engine; NULL: not known */
	size_t outcomes, wanted, runs; /* runs: of the present round */
};

struct world {
	struct tf_loop *loop;
	struct tf_clock_fake clock;
	struct tf_executor *x;
	struct end ends[ENDS];
	TAILQ_HEAD(, queue) queues;
	struct letters settled; /* acknowledged, not freed yet */
	struct atom atoms[ATOMS];
	bool compat;  /* queues go with their last reader */
	bool resumes; /* the engine is killed now and then */
	unsigned queues_made;
	bool cut; /* a connection was lost at some time: things may run twice */
	size_t failed, double_runs;
};

static unsigned chance(unsigned n)
{
	return (unsigned)rand() % n;
}

/* ---- the broker */

static bool consumes(const struct end *e, const char *topic)
{
	char *want = tf_asprintf("%s ", topic);
	bool found = !e->dead && e->wire->topics && strstr(e->wire->topics, want);
	free(want);
	return found;
}

static struct queue *queue_of(struct world *w, const char *topic, bool declare)
{
	struct queue *q;
	TAILQ_FOREACH(q, &w->queues, link)
	{
		if (!strcmp(q->topic, topic))
			return q;
	}
	for (int i = 0; i < ENDS; i++) /* who is connected has declared what it consumes */
		declare = declare || (consumes(&w->ends[i], topic) && w->ends[i].wire->base.up);
	if (!declare)
		return NULL;
	q = TF_NEW(struct queue);
	q->topic = tf_strdup(topic);
	q->number = ++w->queues_made;
	TAILQ_INIT(&q->letters);
	TAILQ_INSERT_TAIL(&w->queues, q, link);
	return q;
}

static void letter_free(struct letter *l)
{
	fake_sent_free(l->sent);
	free(l);
}

static void letters_free(struct letters *letters)
{
	struct letter *l;
	while ((l = TAILQ_FIRST(letters)) != NULL) {
		TAILQ_REMOVE(letters, l, link);
		letter_free(l);
	}
}

static void queue_free(struct world *w, struct queue *q)
{
	letters_free(&q->letters);
	TAILQ_REMOVE(&w->queues, q, link);
	free(q->topic);
	free(q);
}

static void on_settle(struct fake_wire *wire, uint64_t tag, enum tf_settle how)
{
	struct end *e = wire->user;
	struct letter *l = e->unsettled[tag % TAGS];
	if (!l)
		return; /* of a connection that is gone */
	e->unsettled[tag % TAGS] = NULL;
	e->unsettled_count--;
	assert_int_not_equal(how, TF_REJECT); /* we understand each other */
	if (how == TF_REQUEUE) {
		l->redelivered = true;
		TAILQ_INSERT_HEAD(&queue_of(e->world, l->sent->m.topic, true)->letters, l, link);
	} else {
		TAILQ_INSERT_TAIL(&e->world->settled, l, link);
	}
}

/* All workers get a copy, each in its own queue. False: this is no group's. */
static bool to_group(struct world *w, struct end *e, struct fake_sent *s)
{
	bool any = false;
	if (strncmp(s->m.topic, "tfhost-workers_", 15) != 0)
		return false;
	for (int i = 1; i < ENDS; i++) {
		char own[TF_UUID_LEN + 1];
		if (!consumes(&w->ends[i], s->m.topic) || !w->ends[i].wire->base.up)
			continue;
		any = true;
		struct letter *l = TF_NEW(struct letter);
		snprintf(own, sizeof(own), "%s", strchr(w->ends[i].wire->topics, ' ') + 1);
		l->sent = TF_NEW(struct fake_sent);
		l->sent->m = (struct tf_message){.topic = tf_strdup(own),
			.type = tf_strdup(s->m.type),
			.reply_to = tf_strdup(s->m.reply_to),
			.correlation_id = tf_strdup(s->m.correlation_id),
			.peer = tf_strdup(s->m.peer),
			.body = tf_strndup(s->m.body, s->m.body_len),
			.body_len = s->m.body_len};
		TAILQ_INSERT_TAIL(&queue_of(w, own, true)->letters, l, link);
	}
	if (s->id)
		fake_wire_confirm(e->wire, s->id, any ? TF_PUBLISHED : TF_RETURNED);
	fake_sent_free(s);
	return true;
}

/* As a message goes out that tracks its queue: is it still the same one? */
static void track(struct world *w, struct end *e, const struct fake_sent *s)
{
	if (!w->compat || !(s->flags & TF_PUBLISH_TRACK))
		return;
	const struct queue *q = queue_of(w, s->m.topic, e->route ? false : s->flags & TF_PUBLISH_DECLARE);
	bool lost = e->route && (!q || q->number != e->route);
	if (lost && (s->flags & TF_PUBLISH_DECLARE))
		q = queue_of(w, s->m.topic, true);
	if (s->flags & TF_PUBLISH_DECLARE)
		e->route = q->number;
	else if (lost)
		e->route = 0;
	if (lost)
		fake_wire_lost(e->wire, s->m.topic);
}

/* What this end has published reaches the broker, which confirms, or says that nobody is there. */
static void collect(struct world *w, struct end *e)
{
	struct fake_sent *s;
	while (e->wire->base.up && (s = fake_wire_take(e->wire)) != NULL) {
		if (to_group(w, e, s))
			continue;
		track(w, e, s);
		struct queue *q = queue_of(w, s->m.topic, s->flags & TF_PUBLISH_DECLARE);
		uint64_t id = s->id;
		if (q) {
			struct letter *l = TF_NEW(struct letter);
			l->sent = s;
			TAILQ_INSERT_TAIL(&q->letters, l, link);
		} else {
			fake_sent_free(s);
		}
		if (id)
			fake_wire_confirm(e->wire, id, q ? TF_PUBLISHED : TF_RETURNED);
	}
}

static void hand_over(struct world *w, struct queue *q)
{
	int first = (int)chance(ENDS);
	for (int i = 0; i < ENDS; i++) {
		struct end *e = &w->ends[(first + i) % ENDS];
		struct letter *l = TAILQ_FIRST(&q->letters);
		if (!l || !consumes(e, q->topic) || !e->wire->base.up)
			continue;
		if (e->server && !strcmp(q->topic, "one") && e->unsettled_count >= 4)
			continue;
		TAILQ_REMOVE(&q->letters, l, link);
		struct tf_message m = l->sent->m;
		m.redelivered = l->redelivered;
		m.content_type = "application/json";
		uint64_t tag = e->wire->next_tag + 1;
		assert_null(e->unsettled[tag % TAGS]);
		e->unsettled[tag % TAGS] = l;
		e->unsettled_count++;
		fake_wire_deliver(e->wire, &m);
		break;
	}
	letters_free(&w->settled); /* the receiver may look at a message after it has settled it */
}

/* Queues that were read and are not any more. */
static void vanish(struct world *w)
{
	struct queue *q, *next;
	for (q = TAILQ_FIRST(&w->queues); q && w->compat; q = next) {
		bool read = false;
		next = TAILQ_NEXT(q, link);
		for (int i = 0; i < ENDS; i++)
			read = read || (consumes(&w->ends[i], q->topic) && w->ends[i].wire->base.up);
		if (q->read && !read)
			queue_free(w, q);
		else
			q->read = read;
	}
}

/* The connection is gone; what it had not settled goes back, or is lost with a broker that restarts. */
static void lose(struct world *w, struct end *e, bool keep)
{
	w->cut = true;
	for (size_t t = TAGS; t-- > 0;) {
		struct letter *l = e->unsettled[t];
		if (!l)
			continue;
		e->unsettled[t] = NULL;
		struct queue *q = keep ? queue_of(w, l->sent->m.topic, true) : NULL;
		l->redelivered = true;
		if (q)
			TAILQ_INSERT_HEAD(&q->letters, l, link);
		else
			letter_free(l);
	}
	e->unsettled_count = 0;
}

static void cut(struct world *w, struct end *e, bool keep)
{
	lose(w, e, keep);
	if (e->wire->base.up)
		fake_wire_state(e->wire, false);
	vanish(w);
}

static void restart_broker(struct world *w)
{
	struct queue *q;
	for (int i = 0; i < ENDS; i++) {
		if (!w->ends[i].dead)
			cut(w, &w->ends[i], false);
	}
	while ((q = TAILQ_FIRST(&w->queues)) != NULL)
		queue_free(w, q);
}

/* ---- engine and workers */

static struct atom *atom_of(struct world *w, const char *uuid)
{
	return &w->atoms[atoi(uuid + 34)];
}

static void on_done(void *arg, const struct tf_completion *c)
{
	struct world *w = arg;
	struct atom *a = &w->atoms[c->atom];
	assert_int_equal(c->round, a->round);
	a->outcomes++;
	w->failed += c->failed;
	free(a->performer);
	a->performer = NULL;
	if (c->receipt)
		w->x->ops->settle(w->x, c->receipt);
	/* Nothing that was lost stays lost until it times out. */
	if (c->failed && !tf_failure_is(tf_value_json(c->result), "tfhost.WorkerLost"))
		fail_msg("%.*s", (int)tf_value_json(c->result).len, tf_value_json(c->result).text);
	if (a->outcomes > a->wanted)
		fail_msg("atom %u: %zu outcomes of %zu requests", c->atom, a->outcomes, a->wanted);
}

static void on_began(void *arg, unsigned atom, int64_t round, const char *performer)
{
	struct world *w = arg;
	assert_int_equal(round, w->atoms[atom].round);
	free(w->atoms[atom].performer);
	w->atoms[atom].performer = tf_strdup(performer);
}

/* `performer`: NULL for a new round, else as the logbook has it. */
static void submit(struct world *w, unsigned i, const char *performer)
{
	struct atom *a = &w->atoms[i];
	if (!performer) {
		a->action = chance(2) ? TF_EXECUTE : TF_REVERT;
		a->round++;
		a->wanted++;
		a->runs = 0;
	}
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL), *none = tf_value_empty_object();
	const struct tf_work work = {.atom = i,
		.round = a->round,
		.uuid = a->uuid,
		.name = a->uuid,
		.task_cls = "m.T",
		.task_version = version,
		.action = a->action,
		.performer = performer,
		.arguments = none,
		.failures = none};
	assert_int_equal(w->x->ops->submit(w->x, &work, NULL), 0);
	tf_value_unref(version);
	tf_value_unref(none);
}

/* The pool's side of a turn: some tasks begin, some end. */
static void work(struct world *w, struct end *e, bool hurry)
{
	size_t *running = &e->running;
	if (*running < e->pool->count && (hurry || chance(3) == 0)) {
		struct atom *a = atom_of(w, e->pool->jobs[*running].request.task_name);
		w->double_runs += ++a->runs > 1;
		fake_pool_started(e->pool, (*running)++);
	}
	if (*running && (hurry || chance(8) == 0)) {
		--*running;
		fake_pool_done(e->pool, 0, false, "1");
	}
}

static void step(struct world *w, bool hurry)
{
	struct queue *q, *next;
	vanish(w); /* new readers are noted */
	tf_clock_fake_advance(&w->clock, STEP_MS);
	tf_executor_wbe_tick(w->x);
	for (int i = 1; i < ENDS; i++) {
		if (w->ends[i].dead)
			continue;
		tf_server_tick(w->ends[i].server);
		work(w, &w->ends[i], hurry);
	}
	for (int i = 0; i < ENDS; i++) {
		if (!w->ends[i].dead)
			collect(w, &w->ends[i]);
	}
	for (int n = 0; n < (hurry ? 200 : 3); n++) {
		for (q = TAILQ_FIRST(&w->queues); q; q = next) {
			next = TAILQ_NEXT(q, link);
			hand_over(w, q);
		}
	}
}

static void start_worker(struct world *w, struct end *e)
{
	static const char *const classes[] = {"m.T", NULL};
	static const struct tf_server_events events = {0};
	const struct tf_wbe_seam seam = {.clock = &w->clock.clock, .open = fake_wire_open};
	const struct tf_server_config config = {.transport.exchange = "x", .topic = "one", .pool.slots = 2};
	struct tf_err err;
	if (tf_server_new_with(w->loop, &config, &seam, &fake_pool_ops, &events, e, &e->server, &err) < 0)
		fail_msg("%s", err.message);
	fake_wire_tracks(fake_wire_last); /* for its groups */
	e->pool = fake_pool_last;
	fake_pool_ready(e->pool, classes);
}

static void plug(struct world *w, struct end *e)
{
	e->world = w;
	e->wire = fake_wire_last;
	e->wire->user = e;
	e->wire->on_settle = on_settle;
	e->dead = false;
	fake_wire_state(e->wire, true);
}

static void kill_worker(struct world *w, struct end *e)
{
	collect(w, e); /* the broker has what it has acknowledged, and so what was sent before */
	lose(w, e, true);
	e->wire->on_settle = NULL;
	e->dead = true;
	e->running = 0;
	tf_server_delete(e->server);
	e->server = NULL;
	vanish(w);
}

static void start_engine(struct world *w)
{
	static const char *const topics[] = {"one", NULL};
	const struct tf_wbe_seam seam = {.clock = &w->clock.clock, .open = fake_wire_open};
	const struct tf_wbe_config config = {
		.transport.exchange = "x", .topics = topics, .reply_topic = FLOW};
	assert_int_equal(tf_executor_wbe_new_with(w->loop, &config, &seam, &w->x, NULL), 0);
	w->x->events.done = on_done;
	w->x->events.began = on_began;
	w->x->arg = w;
	assert_int_equal(w->x->ops->start(w->x, NULL), 0);
	w->ends[0].route = 0;
	if (w->compat || w->resumes)
		fake_wire_tracks(fake_wire_last);
	plug(w, &w->ends[0]);
}

static void ignore(void *arg, const struct tf_completion *c)
{
	(void)arg;
	(void)c;
}

/* Killed, and resumed at once. Now and then it had no time to keep who performs what. */
static void resume_engine(struct world *w)
{
	struct end *e = &w->ends[0];
	struct queue *q = queue_of(w, FLOW, false);
	bool cut = w->cut;
	lose(w, e, false);
	w->cut = cut; /* outcomes on their way are lost, but in a ledger */
	if (q)
		queue_free(w, q);
	w->x->events.done = ignore;
	e->wire->on_settle = NULL;
	w->x->ops->destroy(w->x);
	start_engine(w);
	for (unsigned i = 0; i < ATOMS; i++) {
		struct atom *a = &w->atoms[i];
		if (a->outcomes < a->wanted)
			submit(w, i, a->performer && chance(3) ? a->performer : "");
	}
}

static void world_open(struct world *w)
{
	w->loop = tf_loop_new();
	tf_clock_fake_init(&w->clock, 1000);
	TAILQ_INIT(&w->queues);
	TAILQ_INIT(&w->settled);
	start_engine(w);
	for (int i = 1; i < ENDS; i++) {
		start_worker(w, &w->ends[i]);
		plug(w, &w->ends[i]);
	}
	for (unsigned i = 0; i < ATOMS; i++)
		snprintf(w->atoms[i].uuid, sizeof(w->atoms[i].uuid), "aaaaaaaa-0000-4000-8000-0000000000%02u",
			i);
}

static void world_close(struct world *w)
{
	struct queue *q;
	for (int i = 0; i < ENDS; i++) {
		lose(w, &w->ends[i], false);
		if (!w->ends[i].dead)
			w->ends[i].wire->on_settle = NULL;
	}
	w->x->ops->destroy(w->x);
	for (int i = 1; i < ENDS; i++)
		tf_server_delete(w->ends[i].server);
	while ((q = TAILQ_FIRST(&w->queues)) != NULL)
		queue_free(w, q);
	letters_free(&w->settled);
	tf_loop_delete(w->loop);
	free(w);
}

static bool all_settled(const struct world *w)
{
	for (unsigned i = 0; i < ATOMS; i++) {
		if (w->atoms[i].outcomes != w->atoms[i].wanted)
			return false;
	}
	return true;
}

enum { CUTS = 1, RESTARTS = 2, DEATHS = 4, VANISHING = 8, RESUMES = 16 };

static void misbehave(struct world *w, unsigned faults)
{
	struct end *e = &w->ends[chance(ENDS)];
	if ((faults & CUTS) && chance(20) == 0 && !e->dead)
		cut(w, e, true);
	if ((faults & RESTARTS) && chance(100) == 0)
		restart_broker(w);
	if ((faults & DEATHS) && chance(60) == 0 && e->server && !e->dead)
		kill_worker(w, e);
	if ((faults & VANISHING) && chance(100) == 0)
		for (int i = 1; i < ENDS; i++)
			if (!w->ends[i].dead)
				kill_worker(w, &w->ends[i]);
	if ((faults & RESUMES) && chance(50) == 0)
		resume_engine(w);
	if ((faults & VANISHING) && chance(10) == 0) /* an engine other than ours */
		queue_of(w, "one", true);
	e = &w->ends[chance(ENDS)];
	if (e->dead && chance(10) == 0) {
		start_worker(w, e);
		plug(w, e);
	} else if (!e->dead && !e->wire->base.up && chance(10) == 0) {
		fake_wire_state(e->wire, true);
	}
}

static void mend(struct world *w)
{
	for (int i = 0; i < ENDS; i++) {
		struct end *e = &w->ends[i];
		if (e->dead) {
			start_worker(w, e);
			plug(w, e);
		} else if (!e->wire->base.up) {
			fake_wire_state(e->wire, true);
		}
	}
}

/* Returns how many requests failed. */
static size_t history(unsigned faults)
{
	struct world *w = TF_NEW(struct world);
	w->compat = faults & VANISHING;
	w->resumes = faults & RESUMES;
	world_open(w);
	for (int n = 0; n < 600; n++) {
		unsigned i = chance(ATOMS);
		if (chance(3) == 0 && w->atoms[i].outcomes == w->atoms[i].wanted)
			submit(w, i, NULL);
		if (faults)
			misbehave(w, faults);
		step(w, false);
	}
	mend(w);
	size_t steps = 0;
	for (; !all_settled(w) && steps < 30 * 1000 / STEP_MS; steps++)
		step(w, true);
	if (!all_settled(w))
		fail_msg("a request has no outcome");
	for (int n = 0; n < 100; n++)
		step(w, true);
	for (int i = 0; i < ENDS; i++)
		assert_int_equal(w->ends[i].unsettled_count, 0);
	if (!w->cut) {
		assert_int_equal(w->double_runs, 0);
		assert_int_equal(w->failed, 0);
	}
	struct tf_wbe_stats stats;
	tf_executor_wbe_stats(w->x, &stats);
	assert_int_equal(stats.malformed, 0);
	assert_int_equal(stats.in_flight, 0);
	size_t failed = w->failed;
	world_close(w);
	return failed;
}

static void histories(unsigned faults, int count)
{
	const char *given = getenv("TF_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : tf_random(1000000);
	size_t failed = 0;
	print_message("seed %u\n", seed);
	for (int i = 0; i < count; i++) {
		srand(seed + (unsigned)i);
		failed += history(faults);
	}
	print_message("%zu requests failed\n", failed);
}

static void without_faults_all_succeeds_once(void **state)
{
	(void)state;
	histories(0, 20);
}

static void with_cut_connections(void **state)
{
	(void)state;
	histories(CUTS, 40);
}

static void with_a_broker_that_restarts(void **state)
{
	(void)state;
	histories(CUTS | RESTARTS, 40);
}

static void with_workers_that_die(void **state)
{
	(void)state;
	histories(CUTS | RESTARTS | DEATHS, 40);
}

static void with_queues_that_go_with_their_last_reader(void **state)
{
	(void)state;
	histories(DEATHS | VANISHING, 40);
	histories(CUTS | RESTARTS | DEATHS | VANISHING, 40);
}

static void with_an_engine_that_is_killed(void **state)
{
	(void)state;
	histories(RESUMES, 40);
	histories(RESUMES | DEATHS | VANISHING, 40);
	histories(CUTS | RESTARTS | DEATHS | VANISHING | RESUMES, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_faults_all_succeeds_once),
		cmocka_unit_test(with_cut_connections),
		cmocka_unit_test(with_a_broker_that_restarts),
		cmocka_unit_test(with_workers_that_die),
		cmocka_unit_test(with_queues_that_go_with_their_last_reader),
		cmocka_unit_test(with_an_engine_that_is_killed),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_faults", tests, NULL, NULL);
}
