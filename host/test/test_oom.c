/* The kernel's count of its kills: found wherever the control groups of a machine or a container keep it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "pool/oom.h"
#include "temp_folder.h"

struct rig {
	struct temp_folder folder;
	char *root, *membership;
};

static void rig_open(struct rig *r)
{
	temp_folder_make(&r->folder);
	r->membership = tf_strdup(temp_folder_path(&r->folder, "membership"));
	r->root = tf_strdup(temp_folder_path(&r->folder, "root"));
	assert_int_equal(mkdir(r->root, 0700), 0);
}

static void rig_close(struct rig *r)
{
	char *command = tf_asprintf("rm -rf '%s'", r->root);
	assert_int_equal(system(command), 0);
	free(command);
	free(r->root);
	free(r->membership);
	temp_folder_remove(&r->folder);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A file below the root, its directories made. */
static void put(struct rig *r, const char *name, const char *text)
{
	char *path = tf_asprintf("%s/%s", r->root, name);
	for (char *at = path + strlen(r->root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	write_file(path, text);
	free(path);
}

static void expect(struct rig *r, uint64_t count, const char *story)
{
	struct tf_oom *o = tf_oom_new_at(r->membership, r->root);
	struct tf_buf text = TF_BUF_INIT;
	assert_int_equal(tf_oom_count(o), count);
	tf_oom_describe(o, &text);
	assert_string_equal(text.data, story);
	tf_buf_free(&text);
	tf_oom_delete(o);
}

#define EVENTS(n) "low 0\nhigh 17\nmax 3\noom 9\noom_kill " #n "\noom_group_kill 4\n"

static void version_two(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	write_file(r.membership, "0::/user.slice/run-7.scope\n");
	put(&r, "user.slice/run-7.scope/memory.events", EVENTS(2));
	put(&r, "user.slice/run-7.scope/memory.max", "536870912\n");
	put(&r, "memory.events", EVENTS(99));
	expect(&r, 2, "control group /user.slice/run-7.scope, memory limit 512.0 MB");
	put(&r, "user.slice/run-7.scope/memory.max", "max\n");
	expect(&r, 2, "control group /user.slice/run-7.scope, no memory limit of its own");
	rig_close(&r);
}

static void version_one(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	write_file(r.membership, "9:name=systemd:/\n4:cpu,cpuacct:/a\n3:memory:/a/b:c\n0::/\n");
	put(&r, "memory/a/b:c/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
	put(&r, "memory/a/b:c/memory.limit_in_bytes", "104857600\n");
	expect(&r, 5, "control group /a/b:c, memory limit 100.0 MB");
	put(&r, "memory/a/b:c/memory.limit_in_bytes", "9223372036854771712\n");
	expect(&r, 5, "control group /a/b:c, no memory limit of its own");
	rig_close(&r);
}

/* The group has its outer name, its files are at the root. */
static void inside_a_container(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	write_file(r.membership, "0::/docker/0123\n");
	put(&r, "memory.events", EVENTS(1));
	put(&r, "memory.max", "1073741824\n");
	expect(&r, 1, "control group /, memory limit 1024.0 MB");
	rig_close(&r);
}

static void the_count_goes_on(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	write_file(r.membership, "0::/\n");
	put(&r, "memory.events", EVENTS(0));
	struct tf_oom *o = tf_oom_new_at(r.membership, r.root);
	assert_int_equal(tf_oom_count(o), 0);
	put(&r, "memory.events", EVENTS(1));
	assert_int_equal(tf_oom_count(o), 1);
	put(&r, "memory.events", "oom 1\n");
	assert_int_equal(tf_oom_count(o), 0);
	tf_oom_delete(o);
	tf_oom_delete(NULL);
	rig_close(&r);
}

static void where_there_is_none(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	expect(&r, 0, "control group ?, no memory limit of its own");
	static const char *const memberships[] = {"", "\n", "::", "0::/x\n", "0:memory", "3:memory:/x\n"};
	for (size_t i = 0; i < sizeof(memberships) / sizeof(memberships[0]); i++) {
		write_file(r.membership, memberships[i]);
		expect(&r, 0, "control group ?, no memory limit of its own");
	}
	rig_close(&r);
	tf_oom_delete(tf_oom_new()); /* whatever is here */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_two),
		cmocka_unit_test(version_one),
		cmocka_unit_test(inside_a_container),
		cmocka_unit_test(the_count_goes_on),
		cmocka_unit_test(where_there_is_none),
	};
	return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
