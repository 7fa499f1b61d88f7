/* What a logbook costs: whether the cost of an atom depends on how many there are, and commits a second beside bare
 * SQLite (the same rows, statements and settings, nothing else).
 *
 *   persist DIRECTORY [short]        SQLite, in files in that directory
 *   persist postgresql://... [short] a server: no bare baseline
 *
 * Figures are of this machine at this hour; what counts is the ratio, of rounds that alternate.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "persistence/backend.h"

#define FLOW "1789a41e-fd6c-4f13-b6dc-aac587e90ed3"
#define BOOK "d27cd7ed-5120-4463-941a-f589fb08c4bd"
enum { TENTHS = 10, ADDED_AT_ONCE = 1000, FINISHED_AT_ONCE = 100, ROUNDS = 5 };

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int rc, const struct tf_err *err)
{
	if (rc < 0) {
		fprintf(stderr, "persist: %s\n", err->message);
		exit(1);
	}
}

static void must_sqlite(sqlite3 *db, bool good)
{
	if (!good) {
		fprintf(stderr, "persist: SQLite: %s\n", sqlite3_errmsg(db));
		exit(1);
	}
}

/* ---- atoms as an engine keeps them ---- */

static struct tf_value *result, *meta;

static struct tf_atom_detail *atoms_new(int count)
{
	struct tf_atom_detail *atoms = tf_calloc((size_t)count, sizeof *atoms);
	for (int i = 0; i < count; i++)
		atoms[i] = (struct tf_atom_detail){.uuid = tf_asprintf("00000000-0000-4000-8000-%012d", i),
			.name = tf_asprintf("task-%d", i),
			.version = tf_strdup("1.0"),
			.state = tf_strdup("PENDING"),
			.intention = tf_strdup("EXECUTE"),
			.meta = tf_value_ref(meta)};
	return atoms;
}

static void atoms_finish(struct tf_atom_detail *atoms, int count)
{
	for (int i = 0; i < count; i++) {
		free(atoms[i].state);
		atoms[i].state = tf_strdup("SUCCESS");
		atoms[i].results = tf_value_ref(result);
	}
}

static void atoms_free(struct tf_atom_detail *atoms, int count)
{
	for (int i = 0; i < count; i++)
		tf_atom_detail_free(&atoms[i]);
	free(atoms);
}

static struct tf_backend *open_new(const char *connection, enum tf_durability durability)
{
	const struct tf_backend_config config = {.connection = connection, .durability = durability};
	static char name[] = "bench", book_uuid[] = BOOK, flow_uuid[] = FLOW;
	struct tf_book_detail book = {.uuid = book_uuid, .name = name, .meta = meta};
	struct tf_flow_detail flow = {.uuid = flow_uuid, .book = book_uuid, .name = name, .meta = meta};
	const struct tf_save save = {.book = &book, .flow = &flow};
	struct tf_backend *b = NULL;
	struct tf_err err = {0};
	must(tf_backend_open(&config, &b, &err), &err);
	b->ops->remove_book(b, BOOK, NULL);
	must(b->ops->save(b, &save, &err), &err);
	return b;
}

/* Save atoms in batches; microseconds an atom. */
static double save(struct tf_backend *b, const struct tf_atom_detail *atoms, int count, int batch, bool fresh)
{
	struct tf_err err = {0};
	double start = now();
	for (int i = 0; i < count; i += batch) {
		size_t n = (size_t)(count - i < batch ? count - i : batch);
		const struct tf_save s = {.flow_uuid = FLOW,
			.flow_state = "RUNNING",
			.atoms = &atoms[i],
			.count = n,
			.fresh = fresh ? n : 0};
		must(b->ops->save(b, &s, &err), &err);
	}
	return (now() - start) * 1e6 / count;
}

/* ---- is it flat? ---- */

static void flat(const char *connection, int count)
{
	struct tf_backend *b = open_new(connection, TF_DURABILITY_NORMAL);
	struct tf_atom_detail *atoms = atoms_new(count);
	double added[TENTHS], finished[TENTHS];
	int part = count / TENTHS;
	for (int i = 0; i < TENTHS; i++)
		added[i] = save(b, atoms + (ptrdiff_t)i * part, part, ADDED_AT_ONCE, true);
	atoms_finish(atoms, count);
	for (int i = 0; i < TENTHS; i++)
		finished[i] = save(b, atoms + (ptrdiff_t)i * part, part, FINISHED_AT_ONCE, false);
	printf("%d atoms, microseconds an atom in each tenth of them:\n  added, %d a commit:   ", count,
		ADDED_AT_ONCE);
	for (int i = 0; i < TENTHS; i++)
		printf(" %5.1f", added[i]);
	printf("\n  finished, %d a commit:", FINISHED_AT_ONCE);
	for (int i = 0; i < TENTHS; i++)
		printf(" %5.1f", finished[i]);
	printf("\n");
	atoms_free(atoms, count);
	tf_backend_close(b);
}

/* ---- commits a second ---- */

static void bare_bind(sqlite3_stmt *st, const struct tf_atom_detail *d, const char *stamp)
{
	const char *texts[] = {stamp, tf_value_text(d->meta), d->state, NULL, tf_value_text(d->results), NULL,
		NULL, d->intention, d->uuid};
	for (int i = 0; i < 9; i++)
		sqlite3_bind_text(st, i + 1, texts[i], -1, SQLITE_STATIC);
}

static void bare_step(sqlite3 *db, sqlite3_stmt *st)
{
	must_sqlite(db, sqlite3_step(st) == SQLITE_DONE);
	sqlite3_reset(st);
}

/* The same rows in the same file by bare SQLite. */
static double bare(const char *path, enum tf_durability durability, const struct tf_atom_detail *atoms,
	int count, int batch)
{
	enum { BEGIN, COMMIT, STATE, ATOM, STATEMENTS };
	static const char *const texts[] = {"BEGIN IMMEDIATE", "COMMIT",
		"UPDATE flowdetails SET updated_at = ?1, state = 'RUNNING' WHERE uuid = '" FLOW "'",
		"UPDATE atomdetails SET updated_at = ?1, meta = ?2, state = ?3, failure = ?4, results = ?5, "
		"revert_results = ?6, revert_failure = ?7, intention = ?8 WHERE uuid = ?9"};
	sqlite3 *db;
	sqlite3_stmt *st[STATEMENTS];
	char stamp[TF_STAMP_SIZE];
	must_sqlite(db, sqlite3_open(path, &db) == SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	must_sqlite(db, sqlite3_exec(db,
				durability == TF_DURABILITY_FULL ? "PRAGMA synchronous = FULL"
								 : "PRAGMA synchronous = NORMAL",
				NULL, NULL, NULL) == SQLITE_OK);
	for (int i = 0; i < STATEMENTS; i++)
		must_sqlite(db, sqlite3_prepare_v2(db, texts[i], -1, &st[i], NULL) == SQLITE_OK);
	double start = now();
	for (int i = 0; i < count; i += batch) {
		tf_stamp(stamp);
		bare_step(db, st[BEGIN]);
		sqlite3_bind_text(st[STATE], 1, stamp, -1, SQLITE_STATIC);
		bare_step(db, st[STATE]);
		for (int k = i; k < i + batch && k < count; k++) {
			bare_bind(st[ATOM], &atoms[k], stamp);
			bare_step(db, st[ATOM]);
		}
		bare_step(db, st[COMMIT]);
	}
	double us = (now() - start) * 1e6 / count;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(st[i]);
	sqlite3_close(db);
	return us;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof *values, by_size);
	return values[count / 2];
}

/* path NULL: no bare baseline. */
static void commits(
	const char *connection, const char *path, enum tf_durability durability, int batch, int count)
{
	double ours[ROUNDS], theirs[ROUNDS], ratios[ROUNDS];
	struct tf_backend *b = open_new(connection, durability);
	struct tf_atom_detail *atoms = atoms_new(count);
	save(b, atoms, count, ADDED_AT_ONCE, true);
	atoms_finish(atoms, count);
	for (int i = 0; i < ROUNDS; i++) {
		ours[i] = save(b, atoms, count, batch, false);
		theirs[i] = path ? bare(path, durability, atoms, count, batch) : 0;
		ratios[i] = path ? ours[i] / theirs[i] : 0;
	}
	double us = median(ours, ROUNDS);
	printf("%-6s %4d atoms a commit: %8.0f commits/s, %6.1f us an atom",
		durability == TF_DURABILITY_FULL ? "full" : "normal", batch, 1e6 / (us * batch), us);
	if (path)
		printf("; bare SQLite %8.0f commits/s; ours takes %.2f times as long",
			1e6 / (median(theirs, ROUNDS) * batch), median(ratios, ROUNDS));
	printf("\n");
	fflush(stdout);
	atoms_free(atoms, count);
	tf_backend_close(b);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: persist DIRECTORY|postgresql://... [short]\n");
		return 2;
	}
	bool few = argc == 3, server = strstr(argv[1], "://") != NULL;
	char *path = server ? NULL : tf_asprintf("%s/bench-%d.db", argv[1], (int)getpid());
	const char *connection = server ? argv[1] : path;
	result = tf_value_string("what a task gave");
	meta = tf_value_from((struct tf_json){"{\"progress\": 1.0}", 17});
	flat(connection, few ? 2000 : 100000);
	static const enum tf_durability levels[] = {TF_DURABILITY_NORMAL, TF_DURABILITY_FULL};
	static const int batches[] = {1, 10, 100};
	/* Enough of them that each round meets several checkpoints of the log, not one of us all of them. */
	for (int d = server ? 1 : 0; d < 2; d++)
		for (int i = 0; i < 3; i++)
			commits(connection, path, levels[d], batches[i], few ? 200 : server ? 2000 : 20000);
	tf_value_unref(result);
	tf_value_unref(meta);
	free(path);
	return 0;
}
