/* Generations of scripts: each is a pool of its own, that is a loader and its slots. One serves; a new one is loaded beside it
 * and takes over once it has loaded and has a slot that is ready; then the old one gives back what it has not begun,
 * finishes what it runs, and its slots end. Its loader stays, with nothing but the scripts in memory, until the next
 * change: that is what a rollback forks from, without the files.
 *
 * At most one generation is being loaded. A change that comes meanwhile starts that over. Running requests of all
 * generations together take no more slots than configured.
 *
 * To a server this is what a pool is (wbe/endpoint.h). Events as in pool.h, but `ready` comes whenever another generation
 * serves, and with an error only if there never was one; `lost` never.
 */
#ifndef TF_POOL_GENERATIONS_H
#define TF_POOL_GENERATIONS_H

#include "pool/canary.h"
#include "pool/pool.h"

struct tf_generations;

enum { TF_GENERATIONS_LOAD_MS = 30000 };

struct tf_generations_config {
	struct tf_pool_config pool;
	uint64_t
		load_ms; /* until its first slot is ready, a generation may take so long; 0: TF_GENERATIONS_LOAD_MS */
};

/* Which code produced an outcome. */
struct tf_label {
	uint64_t number; /* from 1; 0: none */
	char hash[TF_SOURCES_HASH];
};

int tf_generations_new(struct tf_loop *loop, const struct tf_generations_config *config,
	const struct tf_pool_events *events, void *arg, struct tf_generations **out, struct tf_err *err);
int tf_generations_submit(
	struct tf_generations *g, uint64_t job, const struct tf_request *r, struct tf_err *err);
/* As tf_pool_take_back, of all generations. */
void tf_generations_take_back(struct tf_generations *g);
/* As tf_pool_stop_job. */
bool tf_generations_stop_job(
	struct tf_generations *g, uint64_t job, const char *const *types, const char *why);
/* Have so many slots from now on, from 1 to TF_POOL_MAX_SLOTS. What runs in those that are too many is finished. */
void tf_generations_resize(struct tf_generations *g, unsigned slots);
typedef void tf_generations_slot_visit(
	void *arg, const struct tf_label *label, const struct tf_slot_info *info);
void tf_generations_each_slot(const struct tf_generations *g, tf_generations_slot_visit *visit, void *arg);
/* The generation of the job that was submitted last or, during an event, of the job it is about. */
const struct tf_label *tf_generations_label(const struct tf_generations *g);
/* What a class of the current generation says of itself; NULL: it has no such class. */
const struct tf_class_limits *tf_generations_class_limits(const struct tf_generations *g, const char *cls);
unsigned tf_generations_busy_slots(const struct tf_generations *g);
/* As tf_pool_delete. */
void tf_generations_delete(struct tf_generations *g);

/* How a reload, a check or a rollback ended. label: of the generation that serves now, or that was checked or is on trial. */
typedef void tf_generations_done(void *arg, const struct tf_label *label, const struct tf_err *err);

struct tf_reload {
	bool check;        /* only see whether it would do */
	bool hold;         /* load, and let nothing come of that before tf_generations_release */
	uint64_t since_ms; /* for the log: the first change, on the loop's clock; 0: it was asked for */
	bool if_new;       /* only if the files say something else than those of the generation that serves */
	double share;      /* above 0: on trial first, with so much of the requests */
	uint64_t canary_wanted;    /* tf_canary.wanted */
	tf_generations_done *done; /* once, at the latest when the generations are deleted; may be NULL */
	void *arg;
};
void tf_generations_reload(struct tf_generations *g, const struct tf_reload *how);
/* Let the load that is held serve, or fail. False: none is held, another reload may have taken its place. */
bool tf_generations_release(struct tf_generations *g);
/* Back to the generation before, at once; a canary is given up instead. TF_ESTATE: there is none. `done` is called when it
 * serves, which may be before this returns. */
int tf_generations_rollback(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct tf_err *err);
/* End all slots in peace (teardown hooks), then `done`; nothing is run any more. Nothing may run. */
void tf_generations_stop(struct tf_generations *g, void (*done)(void *arg), void *arg);

struct tf_generations_stats {
	uint64_t reloads, refused,
		rollbacks; /* scripts that took over, that could not be used; canaries given up are the last, too */
	struct tf_pool_counters slots; /* of all generations */
};
const struct tf_generations_stats *tf_generations_stats(const struct tf_generations *g);

/* What was read by the generation loaded last, whether it loaded or not: each path ended by NUL. */
const struct tf_buf *tf_generations_files(const struct tf_generations *g);
/* Call `loaded` after each load that ended, whatever came of it. */
void tf_generations_on_load(struct tf_generations *g, void (*loaded)(void *arg), void *arg);
/* A JSON object appended: generations, their requests and processes, and the last load error. */
void tf_generations_status(const struct tf_generations *g, struct tf_buf *out);

#endif
