/* A logbook's file meets a damaged, newer, locked or forbidden file, and a full disk: a clear story, nothing lost,
 * usable as soon as the cause is gone. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "logbook.h"
#include "temp_folder.h"

static struct temp_folder folder;
static const char *path; /* of the file */

static int set_up(void **state)
{
	static char text[100];
	(void)state;
	temp_folder_make(&folder);
	snprintf(text, sizeof text, "%s", temp_folder_path(&folder, "flows.db"));
	path = text;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_folder_remove(&folder);
	return 0;
}

static void execute(const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* An attempt to open fails so, and the file is as it was. */
static void refused(int code, const char *words)
{
	struct tf_err err = {0};
	struct stat before, after;
	char *was = temp_folder_read(&folder, "flows.db");
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(logbook_try(path, &err), code);
	assert_non_null(strstr(err.message, path));
	if (!strstr(err.message, words))
		fail_msg("%s", err.message);
	char *is = temp_folder_read(&folder, "flows.db");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	assert_string_equal(is, was);
	free(was);
	free(is);
}

static void test_no_database(void **state)
{
	(void)state;
	temp_folder_write(&folder, "flows.db",
		"my notes, and more than a hundred bytes of them, so that nobody can take "
		"this for an empty file or for the header of a database");
	refused(TF_EFORMAT, "left as it is");
}

static void test_newer_schema(void **state)
{
	(void)state;
	tf_backend_close(logbook_open(path));
	execute("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)");
	refused(TF_EFORMAT, "newer version of tfhost (schema 99");
}

/* Atoms i = from..to-1, each with `size` bytes of result; the code of the first save that fails. */
static int fill(struct tf_backend *b, int from, int to, size_t size, int *saved, struct tf_err *err)
{
	int rc = 0;
	char *text = tf_malloc(size + 3);
	memset(text, 'x', size + 2);
	text[0] = text[size + 1] = '"';
	text[size + 2] = '\0';
	for (*saved = from; *saved < to && rc == 0; *saved += rc == 0) {
		char uuid[32];
		snprintf(uuid, sizeof uuid, "atom-%06d", *saved);
		struct tf_atom_detail atom = logbook_atom(uuid, "SUCCESS", text, NULL);
		rc = logbook_save(b, "flow-1", NULL, &atom, 1, 1, err);
		tf_atom_detail_free(&atom);
	}
	free(text);
	return rc;
}

static void whole(int count)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	sqlite3_close(db);
	struct tf_backend *b = logbook_open(path);
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	assert_int_equal(kept.count, count);
	logbook_atoms_free(&kept);
	tf_backend_close(b);
}

/* A page in the middle is overwritten: told when it is read; what is written elsewhere fails or is whole. */
static void test_damaged_page(void **state)
{
	struct tf_err err = {0};
	int saved;
	(void)state;
	struct tf_backend *b = logbook_open(path);
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(fill(b, 0, 200, 1000, &saved, &err), 0);
	tf_backend_close(b);
	execute("PRAGMA wal_checkpoint(TRUNCATE)");
	struct stat st;
	char junk[4096];
	memset(junk, 0xa5, sizeof junk);
	assert_int_equal(stat(path, &st), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	for (off_t at = 40960; at + 4096 <= st.st_size; at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
	close(fd);
	b = logbook_open(path);
	assert_int_equal(fill(b, 200, 201, 10, &saved, &err), TF_EFORMAT);
	assert_non_null(strstr(err.message, path));
	assert_non_null(strstr(err.message, "damaged"));
	tf_backend_close(b);
}

static void test_locked(void **state)
{
	struct tf_err err = {0};
	sqlite3 *db;
	int saved;
	(void)state;
	struct tf_backend *b = logbook_open(path);
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(fill(b, 0, 1, 10, &saved, &err), TF_EAGAIN);
	assert_non_null(strstr(err.message, "another process holds it locked"));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(fill(b, 0, 1, 10, &saved, &err), 0);
	tf_backend_close(b);
	whole(1);
}

/* ---- in a process of its own: limits, users and mounts are the process's ---- */

static void in_child(void (*body)(void))
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the child failed with status %x", status);
}

/* assert_* would run the rest of the tests in the child. */
#define CHILD_ASSERT(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			_exit(1); \
		} \
	} while (0)

/* Fill until it is full, make room, go on. Room is made by `relax`. */
static void fill_up(void (*relax)(void))
{
	struct tf_err err = {0};
	int saved, more;
	struct tf_backend *b = logbook_open(path);
	logbook_flow(b, "book-1", "flow-1");
	CHILD_ASSERT(fill(b, 0, 5000, 1000, &saved, &err) == TF_EIO);
	CHILD_ASSERT(saved > 10 && strstr(err.message, path));
	CHILD_ASSERT(fill(b, saved, saved + 1, 1000, &more, &err) ==
		     TF_EIO); /* again: no assertion, no corruption */
	/* read it all the same */
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	CHILD_ASSERT((int)kept.count == saved);
	logbook_atoms_free(&kept);
	relax();
	CHILD_ASSERT(fill(b, saved, saved + 100, 1000, &more, &err) == 0);
	tf_backend_close(b);
	whole(saved + 100);
}

static void no_limit(void)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

static void limited(void)
{
	signal(SIGXFSZ, SIG_IGN);
	CHILD_ASSERT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, RLIM_INFINITY}) == 0);
	fill_up(no_limit);
}

static void test_size_limit(void **state)
{
	(void)state;
	in_child(limited);
}

static void more_room(void)
{
	CHILD_ASSERT(mount("none", folder.path, "tmpfs", MS_REMOUNT, "size=64m") == 0);
}

static bool small_disk(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0)
		return false;
	return mount("none", "/", "tmpfs", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", folder.path, "tmpfs", 0, "size=1m") == 0;
}

static void on_small_disk(void)
{
	if (!small_disk())
		_exit(77);
	fill_up(more_room);
}

/* A real file system without room: ENOSPC. */
static void test_disk_full(void **state)
{
	int status;
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		on_small_disk();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* a container that may not mount */
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void become_nobody(void)
{
	struct passwd *nobody = getpwnam("nobody"); /* NOLINT(concurrency-mt-unsafe): one thread */
	if (geteuid() == 0)
		CHILD_ASSERT(setgid(nobody->pw_gid) == 0 && setuid(nobody->pw_uid) == 0);
}

static void denied(const char *where)
{
	struct tf_err err = {0};
	int rc = logbook_try(where, &err);
	if (rc != TF_EAUTH)
		fprintf(stderr, "%s: %d: %s\n", where, rc, err.message);
	CHILD_ASSERT(rc == TF_EAUTH && strstr(err.message, where));
}

static void without_rights(void)
{
	become_nobody();
	denied(path);                                    /* may not be written */
	denied(temp_folder_path(&folder, "new.db"));     /* may not be made */
	denied(temp_folder_path(&folder, "sub/new.db")); /* nor its folder */
	denied(temp_folder_path(&folder, "secret.db"));  /* may not be read */
}

static void test_no_permission(void **state)
{
	(void)state;
	tf_backend_close(logbook_open(path));
	execute("DROP INDEX tfhost_atoms_of_flow; PRAGMA user_version = 0; PRAGMA wal_checkpoint(TRUNCATE)");
	temp_folder_write(&folder, "secret.db", "");
	assert_int_equal(chmod(temp_folder_path(&folder, "secret.db"), 0), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(folder.path, 0555), 0);
	in_child(without_rights);
	assert_int_equal(chmod(folder.path, 0755), 0);
	assert_int_equal(chmod(path, 0644), 0);
	tf_backend_close(logbook_open(path)); /* with rights again */
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH(test_no_database),
		WITH(test_newer_schema),
		WITH(test_damaged_page),
		WITH(test_locked),
		WITH(test_size_limit),
		WITH(test_disk_full),
		WITH(test_no_permission),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
