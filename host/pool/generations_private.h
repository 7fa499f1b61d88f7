/* Shared by generations.c (which one serves, and what the pools tell) and generations_load.c (how one comes to serve);
 * nobody else includes it. */
#ifndef TF_POOL_GENERATIONS_PRIVATE_H
#define TF_POOL_GENERATIONS_PRIVATE_H

#include <sys/queue.h>
#include <time.h>

#include "base/map.h"
#include "pool/generations.h"

#define GENERATION_STATES(X) X(LOADING) X(CANARY) X(CURRENT) X(PREVIOUS) X(FINISHING)
enum generation_state {
#define X(name) GENERATION_##name,
	GENERATION_STATES(X)
#undef X
};

struct generation {
	TAILQ_ENTRY(generation) link;
	struct tf_generations *all;
	struct tf_pool *pool;
	enum generation_state state;
	struct tf_label label;
	char **names; /* NULL-terminated; NULL before it has loaded */
	size_t name_count;
	struct tf_class_limits *limits; /* owned; of the names */
	struct tf_map *classes;         /* name -> its limits */
	uint64_t begun_ms, loaded_ms;   /* on the loop's clock; 0: not yet */
	struct tf_err failure;          /* while it is held; code 0: none */
	unsigned bad_starts;
	uint64_t succeeded, failed;
};

/* One who waits for what comes of a load. */
struct waiter {
	STAILQ_ENTRY(waiter) link;
	tf_generations_done *done;
	void *arg;
	struct generation *rollback; /* waits for this one; NULL: for the one that loads */
};

struct tf_generations {
	struct tf_loop *loop;
	struct tf_generations_config config;
	struct tf_pool_events events;
	void *arg;
	struct tf_timer *limit; /* of the load */
	struct tf_timer *retry; /* a lost loader is replaced */
	unsigned retries;
	TAILQ_HEAD(, generation) list;                                        /* oldest first */
	struct generation *current, *previous, *canary, *loading, *returning; /* each may be NULL */
	uint64_t last_number;
	const struct generation *told; /* tf_generations_label */
	struct tf_canary trial;
	struct tf_reload wish; /* what is to be done with the one that loads */
	uint64_t released_ms;  /* since then it is not held */
	STAILQ_HEAD(, waiter) waiters;
	struct tf_buf files;
	struct tf_err error; /* of the last load; code 0: none */
	time_t error_at;
	void (*loaded)(void *arg);
	void *loaded_arg;
	void (*stopped)(void *arg);
	void *stopped_arg;
	uint64_t loads;
	struct tf_generations_stats stats;
};

/* generations.c: what the pool of each generation tells. */
extern const struct tf_pool_events generation_events;
uint64_t generation_now(const struct tf_generations *g);
void generation_delete(struct generation *n);
/* It finishes what it runs; what it had not begun is the caller's again. It may be gone afterwards. */
void generation_retire(struct generation *n, enum generation_state state);
/* It serves from now on. `how` it came to: the end of the line in the log. */
void generation_activate(struct generation *n, const char *how);
void generation_end_canary(struct tf_generations *g, const char *why);
/* `done` is called when that comes of it: the rollback to this generation, or NULL: the load. */
void generation_wait_for(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct generation *rollback);
void generation_answer(struct tf_generations *g, const struct generation *rollback,
	const struct tf_label *label, const struct tf_err *err);

/* generations_load.c: start to load another one. */
int generation_load(struct tf_generations *g, struct tf_err *err);
/* What the pool of a generation tells: its scripts are loaded, or cannot be. */
void generation_on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err);
/* The one that loads has a slot that is ready. */
void generation_load_done(struct tf_generations *g);
/* The one that loads will not serve. */
void generation_load_failed(struct tf_generations *g, const struct tf_err *err);
/* The loader of the one that serves is to be replaced in a while. */
void generation_retry_later(struct tf_generations *g);
/* Of the timers. */
void generation_on_limit(void *arg);
void generation_on_retry(void *arg);
/* How many slots the one that loads gets. */
unsigned generation_slots(const struct tf_generations *g);

#endif
