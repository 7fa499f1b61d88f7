#include "loop/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "loop/settle.h"

enum {
	WATCH_WAY = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD,
	WATCH_FILE = WATCH_WAY | IN_MODIFY | IN_CLOSE_WRITE,
	WATCH_LINKS = 16, /* symbolic links on one way */
};

/* A name in a directory: a file, or something on the way to one. */
struct place {
	bool is_file;
	bool writing; /* somebody has it open, by the look of it */
};

struct directory {
	char *path;           /* owned */
	struct tf_map *names; /* name -> struct place, owned */
	bool is_final;        /* holds a file */
	int wd;               /* -1: not watched */
};

struct file {
	char *path; /* owned */
	bool existed;
};

struct tf_watch {
	struct tf_loop *loop; /* borrowed */
	void (*changed)(void *arg);
	void (*early)(void *arg); /* NULL: not wanted */
	void *arg;
	int fd;
	struct tf_io *io;
	struct tf_timer *timer;
	struct tf_settle settle;
	struct timespec seen; /* changes before are told */
	struct directory *directories;
	size_t directory_count;
	struct file *files;
	size_t file_count;
};

/* ---- what to watch ---- */

static void directories_free(struct directory *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].path);
		tf_map_delete(list[i].names, free);
	}
	free(list);
}

static struct directory *directory_of(struct tf_watch *w, const char *path)
{
	for (size_t i = 0; i < w->directory_count; i++) {
		if (!strcmp(w->directories[i].path, path))
			return &w->directories[i];
	}
	w->directories = tf_realloc(w->directories, (w->directory_count + 1) * sizeof(*w->directories));
	struct directory *d = &w->directories[w->directory_count++];
	*d = (struct directory){.path = tf_strdup(path), .names = tf_map_new(), .wd = -1};
	return d;
}

static void add_place(struct tf_watch *w, const char *directory, const char *name, bool is_file)
{
	struct directory *d = directory_of(w, *directory ? directory : "/");
	struct place *p = tf_map_get(d->names, name);
	if (!p) {
		p = TF_NEW(struct place);
		tf_map_set(d->names, name, p);
	}
	p->is_file |= is_file;
	d->is_final |= is_file;
}

/* Where the link `path`/`name` leads, with `rest` behind it. Caller frees; NULL: it is no link. */
static char *follow(const char *path, const char *name, const char *rest)
{
	char target[PATH_MAX];
	char *full = tf_asprintf("%s/%s", path, name);
	ssize_t n = readlink(full, target, sizeof(target) - 1);
	free(full);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return *target == '/' ? tf_asprintf("%s%s", target, rest)
			      : tf_asprintf("%s/%s%s", path, target, rest);
}

/* The names of `path` up to the first symbolic link; where that leads, if there is one. Caller frees. */
static char *add_names(struct tf_watch *w, const char *path)
{
	const char *at = path, *name, *end;
	char *next = NULL;
	while (!next && *(name = at + strspn(at, "/"))) {
		end = name + strcspn(name, "/");
		char *directory = tf_strndup(path, (size_t)(at - path));
		char *entry = tf_strndup(name, (size_t)(end - name));
		add_place(w, directory, entry, !end[strspn(end, "/")]);
		next = follow(directory, entry, end);
		free(directory);
		free(entry);
		at = end;
	}
	return next;
}

/* All names on the way to an absolute path. */
static void add_way(struct tf_watch *w, const char *file)
{
	char *path = tf_strdup(file);
	for (int links = 0; path && links < WATCH_LINKS; links++) {
		char *next = add_names(w, path);
		free(path);
		path = next;
	}
	free(path);
}

static void add_file(struct tf_watch *w, const char *path)
{
	for (size_t i = 0; i < w->file_count; i++) {
		if (!strcmp(w->files[i].path, path))
			return;
	}
	w->files = tf_realloc(w->files, (w->file_count + 1) * sizeof(*w->files));
	w->files[w->file_count++] =
		(struct file){.path = tf_strdup(path), .existed = access(path, R_OK) == 0};
}

/* Ask the kernel for the directories of `w`; those of `old` that are not needed any more are given up. */
static int watch_directories(
	struct tf_watch *w, const struct directory *old, size_t old_count, struct tf_err *err)
{
	int rc = 0;
	for (size_t i = 0; i < w->directory_count; i++) {
		struct directory *d = &w->directories[i];
		d->wd = inotify_add_watch(w->fd, d->path, d->is_final ? WATCH_FILE : WATCH_WAY);
		if (d->wd < 0 && errno != ENOENT && errno != ENOTDIR && rc == 0)
			rc = tf_err_sys(err, "watching %s for changes (inotify)", d->path);
	}
	for (size_t i = 0; i < old_count; i++) {
		bool needed = old[i].wd < 0;
		for (size_t k = 0; k < w->directory_count && !needed; k++)
			needed = w->directories[k].wd == old[i].wd;
		if (!needed)
			inotify_rm_watch(w->fd, old[i].wd); /* fails for what is gone, or given up twice */
	}
	return rc;
}

/* The ways may lead elsewhere by now. */
static int watch_again(struct tf_watch *w, struct tf_err *err)
{
	struct directory *old = w->directories;
	size_t old_count = w->directory_count;
	w->directories = NULL;
	w->directory_count = 0;
	for (size_t i = 0; i < w->file_count; i++)
		add_way(w, w->files[i].path);
	int rc = watch_directories(w, old, old_count, err);
	directories_free(old, old_count);
	return rc;
}

/* ---- what happens ---- */

static bool unfinished_place(const char *name, void *value, void *arg)
{
	const struct place *p = value;
	bool *unfinished = arg;
	(void)name;
	*unfinished |= p->writing;
	return !*unfinished;
}

static bool is_unfinished(struct tf_watch *w)
{
	bool unfinished = false;
	for (size_t i = 0; i < w->directory_count && !unfinished; i++)
		tf_map_each(w->directories[i].names, unfinished_place, &unfinished);
	for (size_t i = 0; i < w->file_count && !unfinished; i++)
		unfinished = w->files[i].existed && access(w->files[i].path, R_OK) < 0;
	return unfinished;
}

static bool finish_place(const char *name, void *value, void *arg)
{
	struct place *p = value;
	(void)name, (void)arg;
	p->writing = false;
	return true;
}

/* Before anybody reads: what happens from here on is seen. */
static void look_again(struct tf_watch *w)
{
	for (size_t i = 0; i < w->directory_count; i++)
		tf_map_each(w->directories[i].names, finish_place, NULL);
	watch_again(w, NULL);
	for (size_t i = 0; i < w->file_count; i++)
		w->files[i].existed = access(w->files[i].path, R_OK) == 0;
	clock_gettime(CLOCK_REALTIME, &w->seen);
}

static void touched(struct tf_watch *w)
{
	tf_settle_event(&w->settle, tf_clock_ms(tf_loop_clock(w->loop)));
	tf_timer_start(w->timer, w->settle.early ? TF_SETTLE_QUIET_MS : TF_SETTLE_EARLY_MS, 0);
}

/* Created empty: somebody is about to fill it. */
static bool is_new_file(const struct directory *d, const char *name)
{
	struct stat st;
	char *path = tf_asprintf("%s/%s", d->path, name);
	bool is_new = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
	free(path);
	return is_new;
}

static void on_event(struct tf_watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		touched(w);
		return;
	}
	for (size_t i = 0; i < w->directory_count; i++) {
		const struct directory *d = &w->directories[i];
		struct place *p = d->wd == e->wd && e->len ? tf_map_get(d->names, e->name) : NULL;
		if (!p)
			continue;
		if (!p->is_file && (e->mask & (IN_MODIFY | IN_CLOSE_WRITE)))
			continue;
		if (p->is_file)
			p->writing =
				(e->mask & IN_MODIFY) || ((e->mask & IN_CREATE) && is_new_file(d, e->name));
		touched(w);
	}
}

static void on_readable(void *arg, int events)
{
	struct tf_watch *w = arg;
	_Alignas(struct inotify_event) char buffer[1 << 14];
	(void)events;
	ssize_t n = read(w->fd, buffer, sizeof(buffer));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(buffer + at);
		at += (ssize_t)(sizeof(*e) + e->len);
		on_event(w, e);
	}
}

static void on_timer(void *arg)
{
	struct tf_watch *w = arg;
	uint64_t left;
	on_readable(w, TF_IO_READ); /* a loop that was held up looks at its timers first */
	uint64_t now = tf_clock_ms(tf_loop_clock(w->loop));
	enum tf_settle_step step = tf_settle_look(&w->settle, is_unfinished(w), now, &left);
	if (left > 0)
		tf_timer_start(w->timer, left, 0);
	if (step != TF_SETTLE_GOES_ON && !(step == TF_SETTLE_OVER && w->settle.early_holds))
		look_again(w);
	if (step == TF_SETTLE_EARLY && w->early)
		w->early(w->arg);
	else if (step == TF_SETTLE_OVER)
		w->changed(w->arg);
}

/* ---- life ---- */

int tf_watch_new(struct tf_loop *loop, void (*changed)(void *arg), void *arg, struct tf_watch **out,
	struct tf_err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return tf_err_sys(err, "watching for changes (inotify)");
	struct tf_watch *w = TF_NEW(struct tf_watch);
	w->loop = loop;
	w->changed = changed;
	w->arg = arg;
	w->fd = fd;
	w->io = tf_io_new(loop, fd, on_readable, w);
	tf_io_watch(w->io, TF_IO_READ);
	w->timer = tf_timer_new(loop, on_timer, w);
	clock_gettime(CLOCK_REALTIME, &w->seen);
	*out = w;
	return 0;
}

void tf_watch_on_early(struct tf_watch *w, void (*early)(void *arg))
{
	w->early = early;
}

bool tf_watch_early_holds(const struct tf_watch *w)
{
	return w->settle.early_holds;
}

uint64_t tf_watch_since(const struct tf_watch *w)
{
	return w->settle.began_ms;
}

static void files_free(struct tf_watch *w)
{
	for (size_t i = 0; i < w->file_count; i++)
		free(w->files[i].path);
	free(w->files);
	w->files = NULL;
	w->file_count = 0;
}

static bool changed_since(const char *path, const struct timespec *t)
{
	struct stat st;
	return stat(path, &st) == 0 &&
	       (st.st_ctim.tv_sec > t->tv_sec ||
		       (st.st_ctim.tv_sec == t->tv_sec && st.st_ctim.tv_nsec > t->tv_nsec));
}

int tf_watch_set(struct tf_watch *w, const struct tf_buf *files, struct tf_err *err)
{
	bool missed = false;
	files_free(w);
	for (size_t at = 0; at < files->len; at += strlen(files->data + at) + 1)
		add_file(w, files->data + at);
	int rc = watch_again(w, err);
	for (size_t i = 0; i < w->file_count; i++)
		missed |= changed_since(w->files[i].path, &w->seen);
	if (missed && !w->settle.changing)
		touched(w);
	return rc;
}

void tf_watch_delete(struct tf_watch *w)
{
	if (!w)
		return;
	tf_timer_delete(w->timer);
	tf_io_delete(w->io);
	close(w->fd);
	directories_free(w->directories, w->directory_count);
	files_free(w);
	free(w);
}
