/* The loader process: loads the scripts once, then forks a slot each time it is asked (pool.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/frame.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "pool/slot.h"

enum { LOADER_MAX_FRAME = 64 }; /* what the supervisor asks is small */

struct loader {
	int fd;
	pid_t supervisor;
	const struct tf_runner *runner;
	struct tf_buf in, out;
};

/* An array of struct tf_class_limits, one for each name. */
static void loader_limits(const struct tf_runner *runner, char *const *names, struct tf_buf *out)
{
	for (char *const *n = names; n && *n; n++) {
		struct tf_class_limits l = {0};
		if (runner->class_limits)
			runner->class_limits(runner->arg, *n, &l);
		tf_buf_append(out, (const char *)&l, sizeof(l));
	}
}

/* A list for a frame, each name ended by NUL. Frees `names`. */
static void loader_list(char **names, struct tf_buf *out)
{
	for (char **n = names; n && *n; n++) {
		tf_buf_append(out, *n, strlen(*n) + 1);
		free(*n);
	}
	free(names);
}

static struct tf_slice loader_slice(const struct tf_buf *b)
{
	return (struct tf_slice){b->len ? b->data : "", b->len};
}

/* Load and say what came of it. */
static int loader_load(struct loader *l, struct tf_err *err)
{
	char **names = NULL;
	char **files = NULL, hash[TF_SOURCES_HASH] = "";
	struct tf_buf list = TF_BUF_INIT, read = TF_BUF_INIT, limits = TF_BUF_INIT;
	int loaded = l->runner->load ? l->runner->load(l->runner->arg, &names, err) : 0;
	fflush(stdout);
	if (l->runner->sources)
		l->runner->sources(l->runner->arg, &files, hash);
	loader_list(files, &read);
	if (loaded < 0) {
		const struct tf_slice fields[] = {{err->message, strlen(err->message)}, loader_slice(&read)};
		tf_frame_put(&l->out, TF_MAX_FRAME, TF_FRAME_LOAD_ERROR, 0, fields, NULL);
	} else {
		loader_limits(l->runner, names, &limits);
		loader_list(names, &list);
		const struct tf_slice fields[] = {loader_slice(&list), loader_slice(&read),
			{hash, strlen(hash)}, loader_slice(&limits)};
		tf_frame_put(&l->out, TF_MAX_FRAME, TF_FRAME_LOADED, 0, fields, NULL);
	}
	tf_buf_free(&list);
	tf_buf_free(&read);
	tf_buf_free(&limits);
	int rc = tf_frame_send(l->fd, &l->out, err);
	return loaded < 0 ? loaded : rc;
}

/* In the new process. The supervisor is its parent as well as the loader's. */
_Noreturn static void loader_become_slot(struct loader *l, int fd, size_t max_frame)
{
	const struct tf_runner *runner = l->runner;
	close(l->fd);
	tf_buf_free(&l->in);
	tf_buf_free(&l->out);
	if (tf_process_detach(l->supervisor) < 0)
		_exit(0);
	int code = tf_slot_main(fd, runner, max_frame);
	fflush(NULL);
	_exit(code);
}

static int loader_fork(struct loader *l, const struct tf_frame *f, int fd, struct tf_err *err)
{
	uint64_t max_frame, pid = 0;
	int rc = tf_frame_get_u64(f, 0, &max_frame, err);
	if (rc < 0)
		return rc;
	uint64_t id = f->id;
	pid_t child = tf_process_fork_sibling();
	if (child == 0)
		loader_become_slot(l, fd, (size_t)max_frame);
	if (child < 0)
		tf_warn("loader", "cannot fork a slot: %s", strerror(errno));
	else
		pid = (uint64_t)child;
	const struct tf_slice field = tf_frame_u64(&pid);
	tf_frame_put(&l->out, TF_MAX_FRAME, TF_FRAME_FORKED, id, &field, NULL);
	return tf_frame_send(l->fd, &l->out, err);
}

static int loader_serve(struct loader *l, struct tf_err *err)
{
	for (;;) {
		struct tf_frame f;
		size_t used;
		int passed;
		int rc = tf_frame_recv(l->fd, &l->in, LOADER_MAX_FRAME, &f, &used, &passed, err);
		if (rc == 0 && (f.type != TF_FRAME_FORK || passed < 0))
			rc = tf_err_set(err, TF_EFORMAT, "unexpected frame %s", tf_frame_type_name(f.type));
		if (rc == 0)
			rc = loader_fork(l, &f, passed, err);
		if (passed >= 0)
			close(passed);
		if (rc < 0)
			return rc;
		tf_buf_consume(&l->in, used);
	}
}

int tf_loader_main(int fd, const struct tf_runner *runner)
{
	struct tf_err err;
	struct loader l = {.fd = fd, .supervisor = getppid(), .runner = runner};
	prctl(PR_SET_NAME, "tfhost-loader");
	tf_mem_on_exhausted(NULL, NULL); /* of a slot, if this is a fork of one */
	tf_process_close_stdin();
	int rc = loader_load(&l, &err);
	if (rc == 0) {
		rc = loader_serve(&l, &err);
		if (rc < 0 && rc != TF_ECLOSED)
			tf_error("loader", "%s", err.message);
	}
	tf_buf_free(&l.in);
	tf_buf_free(&l.out);
	return rc == TF_ECLOSED ? 0 : 1;
}
