/* An engine on a flow in the JSON notation of spec/fixtures/vectors/README.md, with tasks, retries
 * and deciders played by the fixture and everything that happens written down. Beyond the notation:
 * `optional`, `revert_requires` (names), `result_text` (exact JSON text), a retry class "Broken" whose
 * on_failure raises, `each` and `limit` of a map whose items give their element, or fail with those in
 * `fail_elements`, `fail_elements_once` (in the first round), `revert_fail_elements`, `delay` of a retry (ms), a decider
 * that is a string raises it, `auto`: false of a graph: no links by symbols. */
#ifndef TF_TEST_ENGINE_FIXTURE_H
#define TF_TEST_ENGINE_FIXTURE_H

#include <json-c/json.h>

#include "base/buf.h"
#include "engine/engine.h"

struct fixture_work { /* submitted, its completion not delivered yet */
	unsigned atom;
	int64_t round;
	enum tf_action action;
	bool failed;
	struct tf_value *result;
};

/* A logbook's flow, as the commits of engines left it. */
struct fixture_book {
	char *state;
	struct tf_atom_detail *rows;
	size_t count;
	size_t commits;   /* so far */
	size_t fail_from; /* this commit (1-based) and all after it fail; 0: none */
};
void fixture_book_free(struct fixture_book *b);
const struct tf_atom_detail *fixture_book_row(const struct fixture_book *b, const char *name); /* or NULL */

struct fixture {
	struct json_object *flow;
	struct tf_graph *graph; /* the engine's */
	struct tf_engine *engine;
	struct tf_executor executor;
	struct json_object **task_of;  /* by atom: its notation */
	int *failures_left;            /* by atom; -1: always */
	struct json_object **deciders; /* by id: link */
	size_t decider_count;
	struct fixture_work *works;
	size_t work_count, work_cap;
	struct tf_buf log;   /* "flow RUNNING; task a RUNNING; ..." */
	struct tf_buf calls; /* "execute a {"x": 1}; revert a {} 1 {...}; on_failure r [...]; decide {...}" */
	struct tf_buf histories; /* of each on_failure and retry's revert: texts by ; */
	const char *suspend_at;  /* log entry after which to suspend, or NULL */
	uint64_t now;            /* of the engine's clock, ms */
	struct tf_clock clock;
	bool hold;          /* run: do not deliver by itself */
	bool log_tasks;     /* also "progress a 0.0", off by default */
	bool gives_back;    /* withdraw hands back what is not delivered yet; false: nothing */
	int starts, stops;  /* of the executor */
	int settled;        /* outcomes acknowledged */
	bool fail_by_round; /* "fail": n is of rounds, not of calls */
	struct fixture_book *book;
	int refuse_submit; /* submit refuses the n-th (1-based) from now on; 0: never */
};

/* flow, options (members of tf_engine_options; store an object; at_once, fail_by_round): JSON text. NULL with err:
 * compile failed. */
struct fixture *fixture_new(const char *flow, const char *options, struct tf_err *err);
/* The same, kept in `book`, and resumed if that has rows. */
struct fixture *fixture_new_in(
	const char *flow, const char *options, struct fixture_book *book, struct tf_err *err);
void fixture_delete(struct fixture *f);

/* Start and go on until the end; with `hold`, until nothing moves without a delivery. */
int fixture_run(struct fixture *f, struct tf_err *err);
void fixture_go_on(struct fixture *f);
/* Deliver the oldest completion of the named atom; asserts that there is one. */
void fixture_deliver(struct fixture *f, const char *name);
void fixture_deliver_all(struct fixture *f);

unsigned fixture_atom(const struct fixture *f, const char *name);
/* "SUCCESS/EXECUTE" of the named atom. Static until the next call. */
const char *fixture_state(const struct fixture *f, const char *name);
/* What run() raised: "RuntimeError: boom-a; ...". Static until the next call. */
const char *fixture_raised(const struct fixture *f);
/* The log or the calls since the last time. Static until the next call. */
const char *fixture_log(struct fixture *f);
const char *fixture_calls(struct fixture *f);

#endif
