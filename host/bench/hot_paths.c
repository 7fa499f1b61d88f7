/* usage: hot_paths PATH N
 *
 * Goes N times along one of the paths whose cost is guarded: .ci/instructions counts the instructions of two runs and
 * divides the difference by that of their Ns, so that start and end do not count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "protocol/message.h"
#include "protocol/peer.h"

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "hot_paths: %s\n", what);
	exit(1);
}

/* --- the scheduler: an executor that answers at once ------------------------------------------------------------ */

struct sink {
	struct tf_executor x;
	struct tf_completion *queue;
	size_t count, cap;
	int last; /* this atom fails; -1: none */
	struct tf_value *result, *failure;
};

static int sink_start(struct tf_executor *x, struct tf_err *err)
{
	(void)x, (void)err;
	return 0;
}

static int sink_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct sink *s = (struct sink *)x;
	(void)err;
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->queue = tf_realloc(s->queue, s->cap * sizeof(*s->queue));
	}
	bool failed = w->action == TF_EXECUTE && (int)w->atom == s->last;
	s->queue[s->count++] = (struct tf_completion){.atom = w->atom,
		.round = w->round,
		.action = w->action,
		.failed = failed,
		.result = failed ? s->failure : s->result};
	return 0;
}

static void sink_nothing(struct tf_executor *x)
{
	(void)x;
}

static const struct tf_executor_ops sink_ops = {.name = "sink",
	.start = sink_start,
	.submit = sink_submit,
	.stop = sink_nothing,
	.destroy = sink_nothing};

static struct tf_value *value(const char *text)
{
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, NULL);
	if (!v)
		die(text);
	return v;
}

#define FAILURE \
	"{\"exception_str\": \"no\", \"traceback_str\": \"\", \"exc_type_names\": [\"RuntimeError\", " \
	"\"Exception\"], " \
	"\"version\": 1, \"exc_args\": [\"no\"], \"causes\": []}"

/* A flow of `n` tasks, each of which needs and gives; the last one fails if `fails`, and all are reverted. */
static void schedule(enum tf_pattern kind, size_t n, bool fails)
{
	static const struct tf_binding needs = {"x", "x", true};
	static const struct tf_provide gives = {"x", TF_WHOLE, 0};
	struct sink s = {.x.ops = &sink_ops,
		.result = value("{\"a\": [1, 2.5, \"three\"]}"),
		.failure = value(FAILURE)};
	struct tf_graph *g = tf_graph_new();
	const struct tf_engine_events none = {0};
	struct tf_err err;
	s.last = fails ? (int)n - 1 : -1;
	tf_graph_open_flow(g, "f", kind);
	for (size_t i = 0; i < n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "task-%zu", i);
		tf_graph_add_task(g, &(struct tf_atom_spec){.name = name,
					     .task_cls = "tests.Task",
					     .execute = &needs,
					     .execute_count = 1,
					     .provides = &gives,
					     .provide_count = 1});
	}
	tf_graph_close_flow(g);
	if (tf_graph_compile(g, &err) < 0)
		die(err.message);
	struct tf_engine *e = tf_engine_new(g, &s.x, &(struct tf_engine_options){0}, &none, NULL);
	if (tf_engine_start(e, &err) < 0)
		die(err.message);
	while (!tf_engine_finished(e)) {
		for (size_t i = 0; i < s.count; i++)
			s.x.events.done(s.x.arg, &s.queue[i]);
		s.count = 0;
		tf_engine_step(e);
	}
	tf_engine_delete(e);
	free(s.queue);
	tf_value_unref(s.result);
	tf_value_unref(s.failure);
}

static void schedule_linear(size_t n)
{
	schedule(TF_LINEAR, n, false);
}

static void schedule_unordered(size_t n)
{
	schedule(TF_UNORDERED, n, false);
}

static void schedule_revert(size_t n)
{
	schedule(TF_LINEAR, n, true);
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static const char REQUEST[] =
	"{\"task_cls\": \"shop.Charge\", \"task_name\": \"charge-1234\", \"task_version\": [1, 0], "
	"\"action\": \"execute\", \"arguments\": {\"amount\": 40.25, \"seat\": \"row 7, \\u00e4\", \"tags\": "
	"[1, 2, null], "
	"\"deep\": {\"a\": {\"b\": [true, false, \"x\"]}}}}";
static const char SUCCESS[] =
	"{\"state\": \"SUCCESS\", \"data\": {\"result\": {\"receipt\": [1, 2.5, \"three\"], "
	"\"note\": \"a text of some length, as results have it\"}}}";
static const char FAILED[] = "{\"state\": \"FAILURE\", \"data\": {\"result\": " FAILURE "}}";

static void decode_request(size_t n)
{
	while (n--) {
		struct tf_request r;
		if (tf_request_parse(REQUEST, sizeof(REQUEST) - 1, &r, NULL) < 0)
			die("REQUEST");
		tf_request_free(&r);
	}
}

static void encode_request(size_t n)
{
	struct tf_buf out = TF_BUF_INIT;
	struct tf_request r;
	if (tf_request_parse(REQUEST, sizeof(REQUEST) - 1, &r, NULL) < 0)
		die("REQUEST");
	while (n--) {
		tf_buf_reset(&out);
		tf_request_write(&r, &out);
	}
	tf_request_free(&r);
	tf_buf_free(&out);
}

static void decode_responses(const char *body, size_t len, size_t n)
{
	while (n--) {
		struct tf_response r;
		if (tf_response_parse(body, len, &r, NULL) < 0)
			die(body);
		tf_response_free(&r);
	}
}

static void decode_success(size_t n)
{
	decode_responses(SUCCESS, sizeof(SUCCESS) - 1, n);
}

static void decode_failure(size_t n)
{
	decode_responses(FAILED, sizeof(FAILED) - 1, n);
}

static void encode_success(size_t n)
{
	struct tf_buf out = TF_BUF_INIT;
	struct tf_response r;
	if (tf_response_parse(SUCCESS, sizeof(SUCCESS) - 1, &r, NULL) < 0)
		die("SUCCESS");
	while (n--) {
		tf_buf_reset(&out);
		tf_response_write(&r, &out);
	}
	tf_response_free(&r);
	tf_buf_free(&out);
}

/* The header that peers of ours exchange, there and back. */
static void peer_header(size_t n)
{
	struct tf_peer p = TF_PEER_INIT;
	char text[TF_PEER_MAX];
	strcpy(p.worker, "1789a41e-fd6c-4f13-b6dc-aac587e90ed3");
	strcpy(p.host, "node1.example.org");
	p.pid = 4711;
	p.round = 1;
	p.dispatch = 2;
	p.action = TF_EXECUTE;
	while (n--) {
		p = tf_peer_parse(tf_peer_write(&p, text));
		if (!p.present)
			die("header");
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t n);
	} paths[] = {
		{"schedule-linear", schedule_linear},
		{"schedule-unordered", schedule_unordered},
		{"schedule-revert", schedule_revert},
		{"decode-request", decode_request},
		{"encode-request", encode_request},
		{"decode-success", decode_success},
		{"decode-failure", decode_failure},
		{"encode-success", encode_success},
		{"peer-header", peer_header},
	};
	for (size_t i = 0; argc == 3 && i < sizeof(paths) / sizeof(*paths); i++) {
		if (strcmp(paths[i].name, argv[1]) != 0)
			continue;
		paths[i].run(strtoul(argv[2], NULL, 10));
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
			puts(paths[i].name);
		return 0;
	}
	die("usage: hot_paths PATH N, hot_paths list");
}
