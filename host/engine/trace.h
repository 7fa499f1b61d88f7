/* When each action of a flow ran, and where: kept with the atoms in a logbook, for `tfhost trace`. There is none where nothing
 * is kept.
 *
 * An atom's last TF_TRACE_RUNS actions, as the list that write appends and load takes:
 *   [["execute", "FAILURE", 1764000000.123, 0.003, 1.25, "host:4711"], ...]
 * action, how it ended, Unix time at which it was handed to the executor, seconds until it began, seconds that it ran, who ran
 * it (or null). */
#ifndef TF_ENGINE_TRACE_H
#define TF_ENGINE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "engine/states.h"

enum { TF_TRACE_RUNS = 16 };

struct tf_trace;

struct tf_trace *tf_trace_new(void);
void tf_trace_delete(struct tf_trace *t); /* NULL allowed */
/* `atom` (or item) is handed to the executor now. */
void tf_trace_begin(struct tf_trace *t, uint32_t atom);

struct tf_trace_end {
	bool revert;
	enum tf_state state; /* it ended so */
	bool at_once;        /* it did not wait, however late this is told */
	float ran_s;         /* 0: all the time since it was handed over */
	const char *worker;  /* copied; NULL: this process */
};
/* Nothing if it was not begun. */
void tf_trace_end(struct tf_trace *t, uint32_t atom, const struct tf_trace_end *end);
bool tf_trace_has(const struct tf_trace *t, uint32_t atom);
void tf_trace_write(const struct tf_trace *t, uint32_t atom, struct tf_buf *out);
/* What is no such list is passed over. */
void tf_trace_load(struct tf_trace *t, uint32_t atom, struct tf_json runs);

#endif
