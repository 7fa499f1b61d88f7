/* An hour of ten thousand workers' beats on a virtual clock: who dies is noticed, in time, and nobody else is. */
#include <stdio.h>
#include <stdlib.h>

#include "base/uuid.h"
#include "clock_fake.h"
#include "cmocka_all.h"
#include "wbe/supervision.h"

enum {
	WORKERS = 10000,
	STEP_MS = 100,
	BEAT_STEPS = 5,  /* a beat each 500 ms, as workers do */
	RARE_STEPS = 20, /* as rarely as the limit allows: 18 million in the hour */
	SILENCE_MS = 2400,
	HOUR_STEPS = 3600 * 1000 / STEP_MS,
	REQUESTS = 2, /* that each worker runs */
	BACK_STEPS = 300,
};

struct worker {
	struct tf_peer peer;
	struct tf_watch watches[REQUESTS];
	uint64_t heard; /* paced */
	int dies;       /* step; -1: never again */
	int back;       /* step in which it runs something again; -1: it is not away */
};

struct fleet {
	struct tf_clock_fake clock;
	struct tf_pace pace;
	struct tf_supervision *supervision;
	struct worker workers[WORKERS];
	int beat_steps;
	int deaths, noticed;
};

static bool dead(const struct worker *w, int step)
{
	return w->dies >= 0 && step >= w->dies;
}

static void watch(struct fleet *f, struct worker *w)
{
	for (int i = 0; i < REQUESTS; i++)
		tf_supervision_watch(f->supervision, &w->watches[i], &w->peer);
	w->heard = tf_pace_ms(&f->pace);
}

static void unwatch(struct fleet *f, struct worker *w)
{
	for (int i = 0; i < REQUESTS; i++)
		tf_supervision_unwatch(f->supervision, &w->watches[i]);
}

static struct fleet *fleet_new(int beat_steps)
{
	struct fleet *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->beat_steps = beat_steps;
	tf_clock_fake_init(&f->clock, 5);
	tf_pace_create(&f->pace, &f->clock.clock);
	f->supervision = tf_supervision_new(&f->pace, SILENCE_MS);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &f->workers[i];
		w->peer = TF_PEER_INIT;
		snprintf(w->peer.worker, sizeof(w->peer.worker), "%08x-0000-4000-8000-000000000000",
			(unsigned)i);
		w->dies = w->back = -1;
		watch(f, w);
	}
	return f;
}

static void fleet_delete(struct fleet *f)
{
	for (int i = 0; i < WORKERS; i++)
		unwatch(f, &f->workers[i]);
	assert_int_equal(tf_supervision_due(f->supervision), UINT64_MAX);
	tf_supervision_delete(f->supervision);
	free(f);
}

static void advance(struct fleet *f, uint64_t ms)
{
	tf_clock_fake_advance(&f->clock, ms);
	tf_pace_tick(&f->pace);
}

/* Beats of those whose turn it is; a worker that was given up and is back runs its requests again. */
static void beats(struct fleet *f, int step)
{
	for (int i = step % f->beat_steps; i < WORKERS; i += f->beat_steps) {
		struct worker *w = &f->workers[i];
		if (w->back >= 0 && step >= w->back) {
			w->dies = w->back = -1;
			watch(f, w);
		} else if (w->back < 0 && !dead(w, step)) {
			tf_supervision_heard(f->supervision, &w->peer);
			w->heard = tf_pace_ms(&f->pace);
		}
	}
}

/* Whom supervision gives up must be dead, and silent for the limit and for one step more at most. */
static void judge(struct fleet *f, int step)
{
	struct tf_watched *silent;
	while ((silent = tf_supervision_silent(f->supervision)) != NULL) {
		struct worker *w = &f->workers[strtoul(silent->peer.worker, NULL, 16)];
		uint64_t silence = tf_pace_ms(&f->pace) - w->heard;
		assert_true(dead(w, step));
		assert_in_range(silence, SILENCE_MS, SILENCE_MS + STEP_MS - 1);
		unwatch(f, w);
		w->back = step + BACK_STEPS;
		f->noticed++;
	}
}

static void an_hour_of_ten_thousand_workers(void **state)
{
	(void)state;
	struct fleet *f = fleet_new(RARE_STEPS);
	for (int step = 1; step <= HOUR_STEPS; step++) {
		advance(f, STEP_MS);
		struct worker *victim = &f->workers[tf_random(WORKERS)];
		/* The last deaths come early enough to be noticed within the hour. */
		if (step % 7 == 0 && victim->dies < 0 &&
			step < HOUR_STEPS - SILENCE_MS / STEP_MS - RARE_STEPS) {
			victim->dies = step;
			f->deaths++;
		}
		beats(f, step);
		judge(f, step);
	}
	assert_true(f->deaths > 1000);
	assert_int_equal(f->noticed, f->deaths);
	fleet_delete(f);
}

/* An engine that stood still, or was cut off, has not heard what was said meanwhile: nobody is blamed. */
static void our_own_absence_blames_nobody(void **state)
{
	(void)state;
	struct fleet *f = fleet_new(BEAT_STEPS);
	int step = 0;
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < BEAT_STEPS; i++) {
			advance(f, STEP_MS);
			beats(f, ++step);
			judge(f, step); /* asserts, as nobody is dead */
		}
		if (round % 2 == 0) {
			advance(f, 60000); /* the loop was held up */
		} else {
			tf_pace_pause(&f->pace, true); /* the broker was away */
			advance(f, 600000);
			tf_pace_pause(&f->pace, false);
			tf_supervision_grace(f->supervision, SILENCE_MS);
			for (int i = 0; i < SILENCE_MS / STEP_MS - BEAT_STEPS - 1;
				i++) { /* workers are not back yet */
				advance(f, STEP_MS);
				assert_null(tf_supervision_silent(f->supervision));
			}
		}
		assert_null(tf_supervision_silent(f->supervision));
	}
	assert_int_equal(f->noticed, 0);
	/* Grace is over some time: then all who say nothing are silent. */
	for (int i = 0; i < 2 * SILENCE_MS / STEP_MS; i++)
		advance(f, STEP_MS);
	for (int i = 0; i < WORKERS; i++) {
		struct tf_watched *silent = tf_supervision_silent(f->supervision);
		assert_non_null(silent);
		unwatch(f, &f->workers[strtoul(silent->peer.worker, NULL, 16)]);
	}
	assert_null(tf_supervision_silent(f->supervision));
	fleet_delete(f);
}

/* A request that moves to another worker leaves the first; who runs nothing is forgotten. */
static void a_request_has_one_worker(void **state)
{
	(void)state;
	struct fleet *f = fleet_new(BEAT_STEPS);
	for (int i = 1; i < WORKERS; i++)
		for (int r = 0; r < REQUESTS; r++)
			tf_supervision_watch(f->supervision, &f->workers[i].watches[r], &f->workers[0].peer);
	for (int i = 0; i < SILENCE_MS / STEP_MS; i++) {
		advance(f, STEP_MS);
		for (int w = 1; w < WORKERS; w++)
			tf_supervision_heard(f->supervision, &f->workers[w].peer);
	}
	struct tf_watched *silent = tf_supervision_silent(f->supervision);
	assert_non_null(silent);
	assert_string_equal(silent->peer.worker, f->workers[0].peer.worker);
	int count = 0;
	struct tf_watch *w;
	TAILQ_FOREACH(w, &silent->watches, link)
	count++;
	assert_int_equal(count, WORKERS * REQUESTS);
	fleet_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_hour_of_ten_thousand_workers),
		cmocka_unit_test(our_own_absence_blames_nobody),
		cmocka_unit_test(a_request_has_one_worker),
	};
	return cmocka_run_group_tests_name("supervision", tests, NULL, NULL);
}
