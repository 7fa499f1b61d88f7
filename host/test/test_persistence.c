/* What every backend that can be written to has to do, on each of them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "logbook.h"
#include "pg_server.h"
#include "temp_folder.h"

static struct temp_folder folder;
static char connection[200];

static bool is_memory(void)
{
	return strcmp(connection, "memory") == 0;
}

static int use_memory(void **state)
{
	(void)state;
	snprintf(connection, sizeof connection, "memory");
	return 0;
}

static int use_sqlite(void **state)
{
	(void)state;
	temp_folder_make(&folder);
	snprintf(connection, sizeof connection, "sqlite:///%s", temp_folder_path(&folder, "flows.db"));
	return 0;
}

static int leave_sqlite(void **state)
{
	(void)state;
	temp_folder_remove(&folder);
	return 0;
}

static int use_postgresql(void **state)
{
	(void)state;
	pg_server_empty();
	snprintf(connection, sizeof connection, "%s", pg_server_url());
	return 0;
}

/* One atom through the backend: what was given is what comes back, and none where there was none. */
static void check_value(struct tf_backend *b, const char *text)
{
	struct tf_err err = {0};
	struct tf_atom_detail atom = logbook_atom("atom-1", "SUCCESS", text, NULL);
	if (logbook_save(b, "flow-1", NULL, &atom, 1, 1, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, 1);
	assert_string_equal(logbook_text(kept.items[0].results), text ? text : "none");
	logbook_atoms_free(&kept);
	tf_atom_detail_free(&atom);
}

static void test_values(void **state)
{
	static const char *const values[] = {"1", "1.0", "-0", "123456789012345678901234567890", "1e400",
		"\"\"", "\"a \\\"b\\\" \\u00e9 \\ud800 \\u0000\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"[]", "{}", "{\"a\": [], \"a\": {}}", "[1,2 ,  3]", "NaN",
		"[NaN, -Infinity, {\"Infinity\": Infinity}]", "\"NaN, said \\\"Infinity\\\"\"", "true", NULL};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		check_value(b, values[i]);
	check_value(b, NULL);
	tf_backend_close(b);
}

static void test_deep_and_large(void **state)
{
	enum { DEPTH = 4000, SIZE = 3 << 20 };
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	char *text = tf_malloc(SIZE + 3);
	memset(text, '[', DEPTH);
	memset(text + DEPTH, ']', DEPTH);
	text[2 * (size_t)DEPTH] = '\0';
	check_value(b, text);
	memset(text, 'x', SIZE + 2);
	text[0] = text[SIZE + 1] = '"';
	text[SIZE + 2] = '\0';
	check_value(b, text);
	free(text);
	tf_backend_close(b);
}

static void test_fields(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	struct tf_atom_detail atoms[2] = {logbook_atom("atom-2", "FAILURE", "[[1, {}]]", "{\"version\": 1}"),
		logbook_atom("atom-1", NULL, NULL, NULL)};
	atoms[0].is_retry = true;
	atoms[0].revert_results = tf_value_string("back");
	atoms[0].revert_failure = tf_value_string("not back");
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", atoms, 2, 2, &err), 0);

	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, 2);
	const struct tf_atom_detail *d = &kept.items[0];
	assert_string_equal(d->uuid, "atom-2"); /* as they were added */
	assert_string_equal(d->flow, "flow-1");
	assert_string_equal(d->name, "name of atom-2");
	assert_string_equal(d->version, "1.0");
	assert_string_equal(d->state, "FAILURE");
	assert_string_equal(d->intention, "EXECUTE");
	assert_true(d->is_retry);
	assert_string_equal(logbook_text(d->results), "[[1, {}]]");
	assert_string_equal(logbook_text(d->failure), "{\"version\": 1}");
	assert_string_equal(logbook_text(d->revert_results), "\"back\"");
	assert_string_equal(logbook_text(d->revert_failure), "\"not back\"");
	assert_string_equal(logbook_text(d->meta), "{\"progress\": 1.0}");
	assert_int_equal(strlen(d->created_at), strlen("2026-01-31 03:08:18.220959"));
	assert_null(d->updated_at);
	assert_null(kept.items[1].state);
	assert_false(kept.items[1].is_retry);
	logbook_atoms_free(&kept);
	tf_atom_detail_free(&atoms[0]);
	tf_atom_detail_free(&atoms[1]);
	tf_backend_close(b);
}

static void test_update(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	struct tf_atom_detail first = logbook_atom("atom-1", "SUCCESS", "1", NULL);
	struct tf_atom_detail then[2] = {
		logbook_atom("atom-1", "FAILURE", NULL, "{}"), logbook_atom("atom-0", "PENDING", NULL, NULL)};
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", &first, 1, 1, &err), 0);
	assert_int_equal(logbook_save(b, "flow-1", "FAILURE", then, 2, 0, &err),
		0); /* the second is new all the same */

	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, 2);
	assert_string_equal(kept.items[0].state, "FAILURE");
	assert_null(kept.items[0].results);
	assert_string_equal(logbook_text(kept.items[0].failure), "{}");
	assert_non_null(kept.items[0].updated_at);
	assert_true(strcmp(kept.items[0].updated_at, kept.items[0].created_at) >= 0);
	assert_string_equal(kept.items[1].uuid, "atom-0");
	struct tf_flow_detail flow = logbook_find(b, "flow-1");
	assert_string_equal(flow.state, "FAILURE");
	tf_flow_detail_free(&flow);
	logbook_atoms_free(&kept);
	tf_atom_detail_free(&first);
	tf_atom_detail_free(&then[0]);
	tf_atom_detail_free(&then[1]);
	tf_backend_close(b);
}

/* A save of a flow that was deleted fails, and nothing of it is kept. */
static void test_deleted_flow(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	struct tf_atom_detail atom = logbook_atom("atom-1", "SUCCESS", "1", NULL);
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", &atom, 1, 1, &err), 0);
	assert_int_equal(b->ops->remove_flow(b, "flow-1", &err), 0);
	assert_int_equal(logbook_save(b, "flow-1", "SUCCESS", &atom, 1, 0, &err), TF_ENOTFOUND);
	assert_non_null(strstr(err.message, "deleted"));
	assert_int_equal(logbook_save(b, "flow-1", "SUCCESS", NULL, 0, 0, &err), TF_ENOTFOUND);
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, 0);
	/* and goes on working */
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", &atom, 1, 1, &err), 0);
	tf_atom_detail_free(&atom);
	tf_backend_close(b);
}

static void test_books_and_flows(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	logbook_flow(b, "book-1", "flow-20");
	logbook_flow(b, "book-2", "flow-21");
	logbook_flow(b, "book-2", "flow-21"); /* again: it is there once */
	assert_int_equal(logbook_count_books(b), 2);
	assert_int_equal(logbook_count_flows(b, NULL), 3);
	assert_int_equal(logbook_count_flows(b, "book-1"), 2);
	struct tf_flow_detail flow = logbook_find(b, "flow-1");
	assert_string_equal(flow.book, "book-1");
	assert_string_equal(flow.name, "flow-1");
	assert_null(flow.state);
	assert_string_equal(logbook_text(flow.meta), "{}");
	tf_flow_detail_free(&flow);
	flow = logbook_find(b, "flow-20");
	assert_string_equal(flow.uuid, "flow-20");
	tf_flow_detail_free(&flow);
	flow = logbook_find(b, "flow_1"); /* no pattern */
	assert_null(flow.uuid);
	assert_int_equal(b->ops->remove_book(b, "book-1", &err), 0);
	assert_int_equal(logbook_count_flows(b, NULL), 1);
	assert_int_equal(b->ops->remove_book(b, "book-1", &err), TF_ENOTFOUND);
	assert_int_equal(b->ops->remove_flow(b, "flow-1", &err), TF_ENOTFOUND);
	tf_backend_close(b);
}

/* More than goes out before answers are read. */
static void test_many(void **state)
{
	enum { N = 1000 };
	static struct tf_atom_detail atoms[N];
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	for (int i = 0; i < N; i++) {
		char uuid[24];
		snprintf(uuid, sizeof uuid, "atom-%d", N - i);
		atoms[i] = logbook_atom(uuid, "PENDING", NULL, NULL);
	}
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", atoms, N, N, &err), 0);
	assert_int_equal(logbook_save(b, "flow-1", NULL, atoms, N, 0, &err), 0);
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, N);
	for (int i = 0; i < N; i++) {
		assert_string_equal(kept.items[i].uuid, atoms[i].uuid);
		tf_atom_detail_free(&atoms[i]);
	}
	logbook_atoms_free(&kept);
	tf_backend_close(b);
}

static double cpu_seconds(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* An atom costs what it costs, however many there are: the last quarter takes little longer than the first. */
static void test_flat(void **state)
{
	enum { N = 40000, BATCH = 1000, PARTS = 4 };
	static struct tf_atom_detail atoms[BATCH];
	struct tf_err err = {0};
	double seconds[2][PARTS] = {{0}}; /* added, then finished */
	char uuid[24];
	(void)state;
	struct tf_backend *b = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	for (int i = 0; i < 2 * N; i += BATCH) {
		for (int k = 0; k < BATCH; k++) {
			snprintf(uuid, sizeof uuid, "atom-%d", (i + k) % N);
			atoms[k] =
				logbook_atom(uuid, i < N ? "PENDING" : "SUCCESS", i < N ? NULL : "1", NULL);
		}
		double start = cpu_seconds();
		assert_int_equal(
			logbook_save(b, "flow-1", "RUNNING", atoms, BATCH, i < N ? BATCH : 0, &err), 0);
		seconds[i / N][i % N / (N / PARTS)] += cpu_seconds() - start;
		for (int k = 0; k < BATCH; k++)
			tf_atom_detail_free(&atoms[k]);
	}
	for (int i = 0; i < 2; i++)
		if (seconds[i][PARTS - 1] > 3 * seconds[i][0] + 0.05)
			fail_msg("first quarter %.3f s, last %.3f s", seconds[i][0], seconds[i][PARTS - 1]);
	tf_backend_close(b);
}

static void test_kept_over_closing(void **state)
{
	struct tf_err err = {0};
	(void)state;
	if (is_memory())
		return;
	struct tf_backend *b = logbook_open(connection), *second = logbook_open(connection);
	struct tf_atom_detail atom = logbook_atom("atom-1", "SUCCESS", "1", NULL);
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(logbook_save(b, "flow-1", "RUNNING", &atom, 1, 1, &err), 0);
	struct logbook_atoms kept = logbook_atoms(second, "flow-1"); /* at once, to everybody */
	assert_int_equal(kept.count, 1);
	logbook_atoms_free(&kept);
	tf_backend_close(second);
	tf_backend_close(b);
	b = logbook_open(connection);
	kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, 1);
	logbook_atoms_free(&kept);
	tf_atom_detail_free(&atom);
	tf_backend_close(b);
}

static void test_lock(void **state)
{
	struct tf_err err = {0};
	struct tf_owner owner;
	char pid[24];
	(void)state;
	if (is_memory())
		return;
	struct tf_backend *b = logbook_open(connection), *second = logbook_open(connection);
	logbook_flow(b, "book-1", "flow-1");
	assert_false(second->ops->owner(second, "flow-1", &owner));
	assert_int_equal(b->ops->lock(b, "flow-1", &err), 0);
	assert_int_equal(second->ops->lock(second, "flow-1", &err), TF_EAGAIN);
	snprintf(pid, sizeof pid, "process %d on ", (int)getpid());
	assert_non_null(strstr(err.message, pid));
	assert_true(second->ops->owner(second, "flow-1", &owner));
	assert_int_equal(owner.pid, getpid());
	assert_int_equal(second->ops->lock(second, "flow-2", &err), 0); /* another one */
	b->ops->unlock(b, "flow-1");
	assert_false(second->ops->owner(second, "flow-1", &owner));
	assert_int_equal(second->ops->lock(second, "flow-1", &err), 0);
	assert_int_equal(b->ops->lock(b, "flow-1", &err), TF_EAGAIN);
	tf_backend_close(second);
	assert_int_equal(b->ops->lock(b, "flow-1", &err), 0);
	tf_backend_close(b);
}

/* Whoever is killed holds its locks no longer than it takes to notice. */
static void test_killed_owner(void **state)
{
	struct tf_err err = {0};
	struct tf_owner owner;
	char go;
	int ready[2];
	(void)state;
	if (is_memory())
		return;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct tf_backend *b = logbook_open(connection);
		logbook_flow(b, "book-1", "flow-1");
		if (b->ops->lock(b, "flow-1", NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &go, 1), 1);
	struct tf_backend *b = logbook_open(connection);
	assert_true(b->ops->owner(b, "flow-1", &owner));
	assert_int_equal(owner.pid, child);
	assert_int_equal(b->ops->lock(b, "flow-1", &err), TF_EAGAIN);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (b->ops->lock(b, "flow-1", &err) < 0)
		fail_msg("%s", err.message);
	close(ready[0]);
	tf_backend_close(b);
}

#define ALL(set_up, tear_down, kind) \
	BOTH(test_values, set_up, tear_down, kind), BOTH(test_deep_and_large, set_up, tear_down, kind), \
		BOTH(test_fields, set_up, tear_down, kind), BOTH(test_update, set_up, tear_down, kind), \
		BOTH(test_deleted_flow, set_up, tear_down, kind), \
		BOTH(test_books_and_flows, set_up, tear_down, kind), \
		BOTH(test_many, set_up, tear_down, kind), \
		BOTH(test_kept_over_closing, set_up, tear_down, kind), \
		BOTH(test_lock, set_up, tear_down, kind), BOTH(test_killed_owner, set_up, tear_down, kind)
#define BOTH(test, set_up, tear_down, kind) \
	{ \
#test " " kind, test, set_up, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {ALL(use_memory, NULL, "memory"),
		ALL(use_sqlite, leave_sqlite, "sqlite"), ALL(use_postgresql, NULL, "postgresql"),
		BOTH(test_flat, use_sqlite, leave_sqlite, "sqlite")};
	return cmocka_run_group_tests(tests, pg_server_start, pg_server_stop);
}
