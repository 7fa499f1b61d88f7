#include "fs_env.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"

struct tf_loop *fs_loop;
struct temp_folder fs_dir;
static pid_t test_process;

int fs_set_up(void **state)
{
	(void)state;
	test_process = getpid();
	fs_loop = tf_loop_new();
	temp_folder_make(&fs_dir);
	mkdir(temp_folder_path(&fs_dir, "q"), 0777);
	return 0;
}

int fs_tear_down(void **state)
{
	(void)state;
	if (getpid() != test_process)
		_exit(1);
	tf_loop_delete(fs_loop);
	temp_folder_remove(&fs_dir);
	return 0;
}

void fs_open_on(struct peer *p, const char *in, const char *out, const char *more)
{
	char *options = tf_asprintf("{\"data_folder_in\": \"%s/%s\", \"data_folder_out\": \"%s/%s\"%s}",
		fs_dir.path, in, fs_dir.path, out, more);

	peer_open(p, fs_loop, "filesystem", "ex", options);
	free(options);
}

void fs_open_peer(struct peer *p)
{
	fs_open_on(p, "q", "q", "");
}

void fs_open_in(struct peer *p, struct tf_loop *loop)
{
	char *text = tf_asprintf(
		"{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\", \"polling_interval\": 0.01}",
		fs_dir.path, fs_dir.path);
	struct tf_transport_config config = {.transport = "filesystem",
		.exchange = "ex",
		.options = tf_value_parse(text, strlen(text), 0, NULL),
		.retry = {.interval_start = 0.02, .interval_max = 0.02}};
	struct tf_err err;

	if (peer_open_config(p, loop, &config, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(config.options);
	free(text);
}

char *fs_content(const char *body)
{
	return tf_asprintf("{\"body\": \"%s\", \"content-type\": \"application/json\", \"properties\": "
			   "{\"type\": \"NOTIFY\", \"delivery_tag\": \"x\"}}",
		body);
}

void fs_put(const char *name, const char *body)
{
	char *path = tf_asprintf("q/%s", name), *content = fs_content(body);

	temp_folder_write(&fs_dir, path, content);
	free(path);
	free(content);
}
