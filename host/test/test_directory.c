/* The tree of TaskFlow's directory backend, as it is and as it should not be. What Python itself wrote is read in
 * spec/e2e/persistence_python_spec.lua. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "logbook.h"
#include "temp_folder.h"

static struct temp_folder folder;

static void make(const char *name)
{
	assert_int_equal(mkdir(temp_folder_path(&folder, name), 0755), 0);
}

static void object(const char *name, const char *text)
{
	char path[100];
	make(name);
	snprintf(path, sizeof path, "%s/metadata", name);
	temp_folder_write(&folder, path, text);
	snprintf(path, sizeof path, "%s/lock", name);
	temp_folder_write(&folder, path, "");
}

static void replace(const char *name, const char *text)
{
	assert_int_equal(unlink(temp_folder_path(&folder, name)), 0);
	temp_folder_write(&folder, name, text);
}

static void link_to(const char *what, const char *name)
{
	assert_int_equal(symlink(temp_folder_path(&folder, what), temp_folder_path(&folder, name)), 0);
}

static int set_up(void **state)
{
	(void)state;
	temp_folder_make(&folder);
	make("books");
	make("flow_details");
	make("atom_details");
	object("books/b1", "{\"name\": \"book\", \"meta\": {\"k\": [1]}, \"uuid\": \"b1\", \"updated_at\": "
			   "null, \"created_at\": "
			   "{\"day\": 2, \"month\": 1, \"year\": 2026, \"hour\": 3, \"minute\": 4, "
			   "\"second\": 5, \"microsecond\": 6}}");
	object("flow_details/f1",
		"{\"name\": \"flow\", \"meta\": {}, \"state\": \"SUCCESS\", \"uuid\": \"f1\"}");
	object("atom_details/a1", "{\"atom\": {\"failure\": null, \"revert_failure\": null, \"meta\": {}, "
				  "\"name\": \"t\", \"results\": 1.0, "
				  "\"revert_results\": null, \"state\": \"SUCCESS\", \"version\": [1, 0], "
				  "\"intention\": \"EXECUTE\", "
				  "\"uuid\": \"a1\"}, \"type\": \"TASK_DETAIL\"}");
	link_to("flow_details/f1", "books/b1/f1");
	link_to("atom_details/a1", "flow_details/f1/a1");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_folder_remove(&folder);
	return 0;
}

static void check_book(void *arg, struct tf_book_detail *d)
{
	++*(int *)arg;
	assert_string_equal(d->uuid, "b1");
	assert_string_equal(d->name, "book");
	assert_string_equal(d->created_at, "2026-01-02 03:04:05.000006");
	assert_null(d->updated_at);
	assert_string_equal(logbook_text(d->meta), "{\"k\": [1]}");
}

static void test_read(void **state)
{
	int books = 0;
	(void)state;
	struct tf_backend *b = logbook_open(folder.path);
	assert_int_equal(b->ops->books(b, NULL, check_book, &books, NULL), 0);
	assert_int_equal(books, 1);
	assert_int_equal(logbook_count_flows(b, "b1"), 1);
	assert_int_equal(logbook_count_flows(b, NULL), 1);
	struct tf_flow_detail flow = logbook_find(b, "f");
	assert_string_equal(flow.uuid, "f1");
	assert_string_equal(flow.book, "b1");
	assert_string_equal(flow.state, "SUCCESS");
	tf_flow_detail_free(&flow);
	struct logbook_atoms atoms = logbook_atoms(b, "f1");
	assert_int_equal(atoms.count, 1);
	assert_string_equal(atoms.items[0].flow, "f1");
	assert_string_equal(atoms.items[0].version, "1.0");
	assert_string_equal(logbook_text(atoms.items[0].results), "1.0");
	assert_null(atoms.items[0].failure);
	assert_false(atoms.items[0].is_retry);
	logbook_atoms_free(&atoms);
	tf_backend_close(b);
}

/* Names that are no names of objects lead nowhere, least of all out of the tree. */
static void test_foreign_names(void **state)
{
	static const char *const names[] = {"", ".", "..", "../..", "/etc", "f1/../f1", "nothing"};
	(void)state;
	struct tf_backend *b = logbook_open(folder.path);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct logbook_atoms atoms = logbook_atoms(b, names[i]);
		assert_int_equal(atoms.count, 0);
		logbook_atoms_free(&atoms);
		assert_int_equal(logbook_count_flows(b, names[i]), 0);
	}
	tf_backend_close(b);
}

static void skip_book(void *arg, struct tf_book_detail *d)
{
	(void)arg;
	(void)d;
}

static void skip_flow(void *arg, struct tf_flow_detail *d)
{
	(void)arg;
	(void)d;
}

static void skip_atom(void *arg, struct tf_atom_detail *d)
{
	(void)arg;
	(void)d;
}

static int read_everything(struct tf_backend *b, struct tf_err *err)
{
	int rc = b->ops->books(b, NULL, skip_book, NULL, err);
	if (rc == 0)
		rc = b->ops->flows(b, NULL, NULL, skip_flow, NULL, err);
	return rc == 0 ? b->ops->atoms(b, "f1", NULL, skip_atom, NULL, err) : rc;
}

/* Torn and strange files: told with file and member. */
static void test_bad_objects(void **state)
{
	static const struct {
		const char *file, *text, *story;
	} cases[] = {
		{"books/b1/metadata", "{\"name\": \"bo", "books/b1/metadata"},
		{"books/b1/metadata", "", "books/b1/metadata"},
		{"books/b1/metadata", "[]", "books/b1: uuid: a string was expected"},
		{"books/b1/metadata", "{\"uuid\": \"b1\", \"name\": 1}", "books/b1: name"},
		{"books/b1/metadata", "{\"uuid\": \"b1\", \"created_at\": \"today\"}", "created_at: year"},
		{"books/b1/metadata", "{\"uuid\": \"b1\", \"created_at\": {\"year\": 99999999999999999999}}",
			"created_at: year: a number from 1 to 9999"},
		{"flow_details/f1/metadata", "{\"uuid\": \"f1\", \"state\": []}", "flow_details/f1: state"},
		{"atom_details/a1/metadata", "{\"type\": \"X\", \"atom\": {}}",
			"type: TASK_DETAIL or RETRY_DETAIL"},
		{"atom_details/a1/metadata", "{\"type\": \"TASK_DETAIL\"}",
			"atom_details/a1: atom: an object"},
		{"atom_details/a1/metadata", "{\"type\": \"TASK_DETAIL\", \"atom\": 1}", "uuid: a string"},
	};
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(folder.path);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *was = temp_folder_read(&folder, cases[i].file);
		replace(cases[i].file, cases[i].text);
		assert_int_equal(read_everything(b, &err), TF_EFORMAT);
		if (!strstr(err.message, cases[i].story) || !strstr(err.message, folder.path))
			fail_msg("%s", err.message);
		replace(cases[i].file, was);
		free(was);
	}
	assert_int_equal(read_everything(b, &err), 0);
	tf_backend_close(b);
}

static void test_only_read(void **state)
{
	struct tf_err err = {0};
	struct tf_owner owner;
	(void)state;
	struct tf_backend *b = logbook_open(folder.path);
	assert_int_equal(logbook_save(b, "f1", "RUNNING", NULL, 0, 0, &err), TF_ESTATE);
	assert_non_null(strstr(err.message, "only read"));
	assert_int_equal(b->ops->remove_flow(b, "f1", &err), TF_ESTATE);
	assert_int_equal(b->ops->remove_book(b, "b1", &err), TF_ESTATE);
	assert_int_equal(b->ops->lock(b, "f1", &err), TF_ESTATE);
	assert_false(b->ops->owner(b, "f1", &owner));
	b->ops->unlock(b, "f1");
	tf_backend_close(b);
	assert_int_equal(logbook_try(temp_folder_path(&folder, "books"), &err), TF_ENOTFOUND);
	assert_non_null(strstr(err.message, "no directory of TaskFlow's persistence"));
}

/* As long as somebody rewrites an object, it is not read. */
static void test_waits_for_writer(void **state)
{
	struct tf_err err = {0};
	int ready[2];
	char go;
	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(temp_folder_path(&folder, "books/b1/lock"), O_RDWR | O_CLOEXEC);
		char *was = temp_folder_read(&folder, "books/b1/metadata");
		fcntl(fd, F_SETLKW, &lock);
		replace("books/b1/metadata", "torn");
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		usleep(200000);
		replace("books/b1/metadata", was);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &go, 1), 1);
	struct tf_backend *b = logbook_open(folder.path);
	assert_int_equal(read_everything(b, &err), 0);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	tf_backend_close(b);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH(test_read),
		WITH(test_foreign_names),
		WITH(test_bad_objects),
		WITH(test_only_read),
		WITH(test_waits_for_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
