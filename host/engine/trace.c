#include "engine/trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/intern.h"

struct run {
	uint32_t previous;    /* number of the atom's one before, from 1; 0: none */
	uint32_t worker : 23; /* number in `workers`, from 1; 0: none */
	uint32_t revert : 1;
	uint32_t state : 8;
	float waited, ran; /* s */
	double sent;       /* Unix time */
};

struct atom {
	uint32_t last;    /* run */
	uint64_t sent_us; /* of tf_clock_us; 0: nothing is under way */
};

enum { TRACE_MAX_WORKERS = 1 << 23 };

struct tf_trace {
	struct atom *atoms;
	size_t atom_count;
	struct run *runs;
	uint32_t run_count, run_cap;
	struct tf_intern *workers;
};

struct tf_trace *tf_trace_new(void)
{
	struct tf_trace *t = TF_NEW(struct tf_trace);
	t->workers = tf_intern_new();
	return t;
}

void tf_trace_delete(struct tf_trace *t)
{
	if (!t)
		return;
	tf_intern_delete(t->workers);
	free(t->atoms);
	free(t->runs);
	free(t);
}

static struct atom *atom_of(struct tf_trace *t, uint32_t atom)
{
	if (atom >= t->atom_count) {
		size_t count = atom + 1 > 2 * t->atom_count ? atom + (size_t)1 : 2 * t->atom_count;
		t->atoms = tf_realloc(t->atoms, count * sizeof(*t->atoms));
		memset(t->atoms + t->atom_count, 0, (count - t->atom_count) * sizeof(*t->atoms));
		t->atom_count = count;
	}
	return &t->atoms[atom];
}

static uint32_t worker_number(struct tf_trace *t, const char *name)
{
	return name ? tf_intern_number(t->workers, name, TRACE_MAX_WORKERS - 1) : 0;
}

/* Room for one more of the atom: a new place, or that of its oldest. */
static uint32_t take_place(struct tf_trace *t, const struct atom *a)
{
	uint32_t *at = a->last ? &t->runs[a->last - 1].previous : NULL;
	for (int n = 2; at && *at; n++) {
		uint32_t oldest = *at;
		if (n == TF_TRACE_RUNS && !t->runs[oldest - 1].previous) {
			*at = 0;
			return oldest;
		}
		at = &t->runs[oldest - 1].previous;
	}
	if (t->run_count == t->run_cap) {
		t->run_cap = t->run_cap ? 2 * t->run_cap : 64;
		t->runs = tf_realloc(t->runs, t->run_cap * sizeof(*t->runs));
	}
	return ++t->run_count;
}

static void add(struct tf_trace *t, uint32_t atom, const struct run *run)
{
	struct atom *a = atom_of(t, atom);
	uint32_t place = take_place(t, a);
	t->runs[place - 1] = *run;
	t->runs[place - 1].previous = a->last;
	a->last = place;
}

void tf_trace_begin(struct tf_trace *t, uint32_t atom)
{
	atom_of(t, atom)->sent_us = tf_clock_us();
}

static double wall_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void tf_trace_end(struct tf_trace *t, uint32_t atom, const struct tf_trace_end *end)
{
	struct atom *a = atom_of(t, atom);
	if (!a->sent_us)
		return;
	double all = (double)(tf_clock_us() - a->sent_us) / 1e6;
	double ran = end->ran_s > 0 && (double)end->ran_s < all ? (double)end->ran_s : all;
	const struct run run = {
		.worker = worker_number(t, end->worker),
		.revert = end->revert,
		.state = (uint32_t)end->state & 0xff,
		.waited = end->at_once ? 0 : (float)(all - ran),
		.ran = (float)ran,
		.sent = wall_s() - all,
	};
	a->sent_us = 0;
	add(t, atom, &run);
}

bool tf_trace_has(const struct tf_trace *t, uint32_t atom)
{
	return t && atom < t->atom_count && t->atoms[atom].last;
}

/* To the microsecond. */
static void write_seconds(double seconds, struct tf_buf *out)
{
	uint64_t us = seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1e6 + 0.5) : 0;
	tf_buf_put_decimal(out, us / 1000000, 1);
	tf_buf_putc(out, '.');
	tf_buf_put_decimal(out, us % 1000000, 6);
	tf_buf_puts(out, ", ");
}

static void write_run(const struct tf_trace *t, const struct run *r, struct tf_buf *out)
{
	tf_buf_puts(out, r->revert ? "[\"revert\", \"" : "[\"execute\", \"");
	tf_buf_puts(out, tf_state_name((enum tf_state)r->state));
	tf_buf_puts(out, "\", ");
	write_seconds(r->sent, out);
	write_seconds((double)r->waited, out);
	write_seconds((double)r->ran, out);
	const char *worker = r->worker ? tf_intern_text(t->workers, r->worker - 1) : NULL;
	if (worker)
		tf_json_write_string(out, worker, strlen(worker));
	else
		tf_buf_puts(out, "null");
	tf_buf_putc(out, ']');
}

void tf_trace_write(const struct tf_trace *t, uint32_t atom, struct tf_buf *out)
{
	uint32_t order[TF_TRACE_RUNS];
	int n = 0;
	for (uint32_t r = tf_trace_has(t, atom) ? t->atoms[atom].last : 0; r && n < TF_TRACE_RUNS;
		r = t->runs[r - 1].previous)
		order[n++] = r;
	tf_buf_putc(out, '[');
	while (n-- > 0) {
		write_run(t, &t->runs[order[n] - 1], out);
		if (n > 0)
			tf_buf_puts(out, ", ");
	}
	tf_buf_putc(out, ']');
}

static bool load_run(struct tf_trace *t, struct tf_json from, struct run *run)
{
	struct tf_json action, state, sent, waited, ran, worker;
	double wait, run_s;
	int end = -1;
	if (!tf_json_at(from, 0, &action) || !tf_json_at(from, 1, &state) || !tf_json_at(from, 2, &sent) ||
		!tf_json_at(from, 3, &waited) || !tf_json_at(from, 4, &ran) ||
		!tf_json_at(from, 5, &worker) || !tf_json_double(sent, &run->sent) ||
		!tf_json_double(waited, &wait) || !tf_json_double(ran, &run_s))
		return false;
	char *name = tf_json_type(state) == TF_JSON_STRING ? tf_json_strdup(state, NULL) : NULL;
	char *who = tf_json_type(worker) == TF_JSON_STRING ? tf_json_strdup(worker, NULL) : NULL;
	enum tf_state parsed;
	if (name && tf_state_find(name, &parsed))
		end = (int)parsed;
	run->state = (uint32_t)end & 0xff;
	run->revert = tf_json_string_is(action, "revert");
	run->waited = (float)wait;
	run->ran = (float)run_s;
	run->worker = end >= 0 ? worker_number(t, who) : 0;
	free(name);
	free(who);
	return end >= 0;
}

void tf_trace_load(struct tf_trace *t, uint32_t atom, struct tf_json runs)
{
	struct tf_json_iter it;
	struct tf_json from;
	if (tf_json_type(runs) != TF_JSON_ARRAY)
		return;
	it = tf_json_iter(runs);
	while (tf_json_next(&it, NULL, &from)) {
		struct run run = {0};
		if (tf_json_type(from) == TF_JSON_ARRAY && load_run(t, from, &run))
			add(t, atom, &run);
	}
}
