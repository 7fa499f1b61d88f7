/* `tfhost dev FLOW`: each run is a worker and an engine, made by lua/tfhost/dev.lua, on a directory that goes with it. */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/flow_args.h"
#include "cmd/lua_command.h"
#include "cmd/rerun.h"
#include "cmd/transport_args.h"

enum { KEY_PLAIN = 256, KEY_SLOTS, KEY_ONCE, DEV_MAX_SLOTS = 1000, DEV_MAX_OPEN = 16 };

static const struct argp_option dev_options[] = {
	{"slots", KEY_SLOTS, "N", 0, "Tasks at once (number of cores)", 0},
	{"plain", KEY_PLAIN, 0, 0, "Lines instead of a tree on a terminal", 0},
	{"once", KEY_ONCE, 0, 0, "Run once and exit as tfhost run does", 0},
	{0},
};

struct dev_args {
	struct tf_flow_args flow;
	long slots;
	bool plain, once;
};

static error_t dev_parse(int key, char *value, struct argp_state *state)
{
	struct dev_args *args = state->input;
	char *end;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->flow;
		return 0;
	case KEY_SLOTS:
		args->slots = strtol(value, &end, 10);
		if (*end || end == value || args->slots < 1 || args->slots > DEV_MAX_SLOTS)
			argp_error(state, "--slots: expected a number from 1 to %d, got \"%s\"",
				DEV_MAX_SLOTS, value);
		return 0;
	case KEY_PLAIN:
		args->plain = true;
		return 0;
	case KEY_ONCE:
		args->once = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child dev_children[] = {{&tf_flow_argp, 0, NULL, 0}, {0}};

static const struct argp dev_argp = {
	.options = dev_options,
	.parser = dev_parse,
	.args_doc = "FLOW",
	.doc = "Work on a flow: run it on workers of its own over a directory, so that no broker is needed, "
	       "and again "
	       "whenever one of its scripts is saved. Errors are shown with the lines around them. FLOW as "
	       "for tfhost "
	       "run. No flow is kept."
	       "\vExample: tfhost dev flow.lua --store x=1\n\n"
	       "Exit codes: 128 + signal (Ctrl-C ends it), with --once as tfhost run; 1 files cannot be "
	       "watched, 64 wrong "
	       "command line.",
	.children = dev_children,
};

static int dev_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	remove(path);
	return 0;
}

/* A directory with all that is in it; links are not followed. */
static void dev_remove_tree(const char *path)
{
	nftw(path, dev_remove, DEV_MAX_OPEN, FTW_DEPTH | FTW_PHYS);
}

struct dev_job {
	const char *program;
	const struct tf_value *options;
	const char *directory; /* of the run: made anew by each */
};

static int dev_once(void *arg, int sources)
{
	const struct dev_job *job = arg;
	dev_remove_tree(job->directory);
	if (mkdir(job->directory, 0700) < 0) {
		fprintf(stderr, "%s: cannot make %s: %s\n", job->program, job->directory, strerror(errno));
		return TF_EXIT_ERROR;
	}
	return tf_lua_command(job->program, "tfhost.dev", job->options, sources);
}

#define DEV_PREFIX "tfhost-dev-"

/* Open a directory of ours and lock it for as long as this process and its forks live; -1 if somebody has. */
static int dev_lock(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Remove what a dev left that was killed: nobody holds its lock any more. */
static void dev_clear(const char *parent)
{
	DIR *dir = opendir(parent);
	if (!dir)
		return;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strncmp(entry->d_name, DEV_PREFIX, strlen(DEV_PREFIX)) != 0)
			continue;
		char *path = tf_asprintf("%s/%s", parent, entry->d_name);
		int fd = dev_lock(path);
		if (fd >= 0) {
			dev_remove_tree(path);
			close(fd);
		}
		free(path);
	}
	closedir(dir);
}

/* Where messages travel; the caller frees. NULL: told. The lock is held until the process ends. */
static char *dev_make_directory(const char *program)
{
	const char *tmp = getenv("TMPDIR"), *parent = tmp && *tmp ? tmp : "/tmp";
	dev_clear(parent);
	for (;;) {
		char *path = tf_asprintf("%s/" DEV_PREFIX "XXXXXX", parent);
		if (!mkdtemp(path)) {
			fprintf(stderr, "%s: cannot make a directory %s: %s\n", program, path,
				strerror(errno));
			free(path);
			return NULL;
		}
		/* Another dev that clears may have been in between. */
		if (dev_lock(path) >= 0 && access(path, F_OK) == 0)
			return path;
		free(path);
	}
}

int tf_cmd_dev(int argc, char **argv)
{
	struct dev_args args = {0};
	struct tf_value *options = NULL;
	int code = TF_EXIT_ERROR;
	char slots[32];
	tf_command_line(&dev_argp, argc, argv, 0, &args);
	char *directory = dev_make_directory(argv[0]);
	if (!directory)
		goto out;
	char *run = tf_asprintf("%s/run", directory);
	tf_flow_args_put(&args.flow, &options);
	tf_args_set_text(&options, "directory", run);
	snprintf(slots, sizeof(slots), "%ld", args.slots ? args.slots : sysconf(_SC_NPROCESSORS_ONLN));
	tf_args_set_text(&options, "slots", slots);
	tf_args_set_flag(&options, "plain", args.plain);
	struct dev_job job = {.program = argv[0], .options = options, .directory = run};
	code = args.once ? dev_once(&job, -1) : tf_rerun(dev_once, &job, argv[0], true);
	dev_remove_tree(directory);
	free(run);
	free(directory);
out:
	tf_value_unref(options);
	tf_flow_args_free(&args.flow);
	return code;
}
