/* The tree of TaskFlow's directory backend (ENGINE.md 14.2), to read: its files are rewritten in place, so that whoever
 * dies while writing one leaves it torn, and an engine cannot rely on that.
 *
 * An object's `lock` file is locked while its `metadata` is read, as the reference does it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "persistence/backend.h"
#include "persistence/directory_object.h"

enum { OBJECT_MAX = 64 * 1024 * 1024, PAUSE_MS = 10, PATIENCE_MS = 5000, NO_LOCK = INT_MAX };

struct directory {
	struct tf_backend base;
	char *path;
};

static struct directory *directory_of(struct tf_backend *b)
{
	return (struct directory *)b;
}

/* ---- files ---- */

/* The descriptor that holds the lock, or a code. */
static int lock_shared(const char *folder, struct tf_err *err)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct timespec pause = {0, PAUSE_MS * 1000000L};
	char *path = tf_asprintf("%s/lock", folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC), waited = 0, rc = fd;
	/* Without such a file there is nobody to wait for: a copy, an archive. */
	while (fd >= 0 && rc >= 0 && fcntl(fd, F_SETLK, &lock) < 0 && (errno == EACCES || errno == EAGAIN)) {
		nanosleep(&pause, NULL);
		if ((waited += PAUSE_MS) >= PATIENCE_MS)
			rc = tf_err_set(err, TF_EAGAIN, "%s: another process holds it locked", path);
	}
	if (rc < 0 && fd >= 0)
		close(fd);
	free(path);
	return rc >= 0 ? rc : fd < 0 ? NO_LOCK : rc;
}

static int read_all(int fd, const char *path, struct tf_buf *out, struct tf_err *err)
{
	for (;;) {
		tf_buf_reserve(out, 65536);
		ssize_t n = read(fd, out->data + out->len, 65536);
		if (n < 0)
			return tf_err_sys(err, "cannot read %s", path);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		if (out->len > OBJECT_MAX)
			return tf_err_set(err, TF_ELIMIT, "%s is larger than %d MiB", path, OBJECT_MAX >> 20);
	}
}

static int open_code(void)
{
	return errno == ENOENT || errno == ENOTDIR ? TF_ENOTFOUND : errno == EACCES ? TF_EAUTH : TF_EIO;
}

/* The validated metadata of one object. */
static struct tf_value *read_object(const char *folder, struct tf_err *err)
{
	int lock = lock_shared(folder, err);
	if (lock < 0)
		return NULL;
	char *path = tf_asprintf("%s/metadata", folder);
	struct tf_buf text = TF_BUF_INIT;
	struct tf_value *v = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		tf_err_set(err, open_code(), "cannot read %s: %s", path, strerror(errno));
	else if (read_all(fd, path, &text, err) == 0) {
		v = tf_value_parse(text.data, text.len, TF_JSON_DEPTH_CAP, err);
		if (!v)
			tf_err_prefix(err, "%s", path);
	}
	if (fd >= 0)
		close(fd);
	if (lock != NO_LOCK)
		close(lock);
	tf_buf_free(&text);
	free(path);
	return v;
}

static bool is_name(const char *uuid)
{
	return uuid[0] && uuid[0] != '.' && !strchr(uuid, '/');
}

/* ---- children ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static bool is_child(const char *folder, const char *name, bool link)
{
	struct stat st;
	char *path = tf_asprintf("%s/%s", folder, name);
	bool yes = lstat(path, &st) == 0 && (link ? S_ISLNK(st.st_mode) : S_ISDIR(st.st_mode));
	free(path);
	return yes;
}

/* Names in a folder: directories, or the links to what belongs to an object. Sorted, for the tree keeps no order. */
static int children(const char *folder, bool links, char ***out, size_t *count, struct tf_err *err)
{
	size_t cap = 0;
	DIR *d = opendir(folder);
	*out = NULL;
	*count = 0;
	if (!d)
		return tf_err_set(err, open_code(), "cannot read %s: %s", folder, strerror(errno));
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.' || !is_child(folder, e->d_name, links))
			continue;
		if (*count == cap)
			*out = tf_realloc(*out, (cap = cap * 2 + 16) * sizeof **out);
		(*out)[(*count)++] = tf_strdup(e->d_name);
	}
	closedir(d);
	if (*count)
		qsort(*out, *count, sizeof **out, by_name);
	return 0;
}

/* Call `each` with every child of folder/name, or with the one of that uuid. */
static int walk(struct directory *s, const char *folder, const char *name, bool links, const char *prefix,
	int (*each)(struct directory *, const char *uuid, void *arg, struct tf_err *), void *arg,
	struct tf_err *err)
{
	char **names, *path = tf_asprintf("%s/%s/%s", s->path, folder, name);
	size_t count;
	int rc = children(path, links, &names, &count, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (!prefix || strncmp(names[i], prefix, strlen(prefix)) == 0)
			rc = each(s, names[i], arg, err);
	names_free(names, count);
	free(path);
	return rc;
}

static struct tf_value *object_of(struct directory *s, const char *kind, const char *uuid, struct tf_err *err)
{
	char *folder = tf_asprintf("%s/%s/%s", s->path, kind, uuid);
	struct tf_value *v = read_object(folder, err);
	free(folder);
	return v;
}

/* ---- reading ---- */

struct visits {
	void (*book)(void *, struct tf_book_detail *);
	void (*flow)(void *, struct tf_flow_detail *);
	void (*atom)(void *, struct tf_atom_detail *);
	void *arg;
	const char *parent, *uuid; /* uuid: beginning of those that are wanted, or NULL */
};

static int visit_book(struct directory *s, const char *uuid, void *arg, struct tf_err *err)
{
	struct visits *v = arg;
	struct tf_book_detail d;
	struct tf_value *object = object_of(s, "books", uuid, err);
	int rc = object ? tf_directory_book(tf_value_json(object), &d, err) : err->code;
	if (object && rc < 0)
		rc = tf_err_prefix(err, "%s/books/%s", s->path, uuid);
	if (rc == 0) {
		v->book(v->arg, &d);
		tf_book_detail_free(&d);
	}
	tf_value_unref(object);
	return rc;
}

static int visit_flow(struct directory *s, const char *uuid, void *arg, struct tf_err *err)
{
	struct visits *v = arg;
	struct tf_flow_detail d;
	struct tf_value *object = object_of(s, "flow_details", uuid, err);
	int rc = object ? tf_directory_flow(tf_value_json(object), &d, err) : err->code;
	if (object && rc < 0)
		rc = tf_err_prefix(err, "%s/flow_details/%s", s->path, uuid);
	if (rc == 0) {
		d.book = tf_strdup(v->parent);
		v->flow(v->arg, &d);
		tf_flow_detail_free(&d);
	}
	tf_value_unref(object);
	return rc;
}

static int visit_atom(struct directory *s, const char *uuid, void *arg, struct tf_err *err)
{
	struct visits *v = arg;
	struct tf_atom_detail d;
	struct tf_value *object = object_of(s, "atom_details", uuid, err);
	int rc = object ? tf_directory_atom(tf_value_json(object), &d, err) : err->code;
	if (object && rc < 0)
		rc = tf_err_prefix(err, "%s/atom_details/%s", s->path, uuid);
	if (rc == 0) {
		d.flow = tf_strdup(v->parent);
		v->atom(v->arg, &d);
		tf_atom_detail_free(&d);
	}
	tf_value_unref(object);
	return rc;
}

static int dir_books(struct tf_backend *b, const char *uuid, void (*visit)(void *, struct tf_book_detail *),
	void *arg, struct tf_err *err)
{
	struct visits v = {.book = visit, .arg = arg};
	return walk(directory_of(b), "books", "", false, uuid, visit_book, &v, err);
}

/* The flows of one book. */
static int visit_flows(struct directory *s, const char *book, void *arg, struct tf_err *err)
{
	struct visits *v = arg;
	v->parent = book;
	return walk(s, "books", book, true, v->uuid, visit_flow, v, err);
}

static int dir_flows(struct tf_backend *b, const char *book, const char *uuid,
	void (*visit)(void *, struct tf_flow_detail *), void *arg, struct tf_err *err)
{
	struct visits v = {.flow = visit, .arg = arg, .uuid = uuid};
	struct directory *s = directory_of(b);
	if (book && !is_name(book))
		return 0;
	if (book) {
		int rc = visit_flows(s, book, &v, err);
		return rc == TF_ENOTFOUND ? 0 : rc;
	}
	return walk(s, "books", "", false, NULL, visit_flows, &v, err);
}

static int dir_atoms(struct tf_backend *b, const char *flow, const char *uuid,
	void (*visit)(void *, struct tf_atom_detail *), void *arg, struct tf_err *err)
{
	struct visits v = {.atom = visit, .arg = arg, .parent = flow};
	struct directory *s = directory_of(b);
	const char *name = flow ? flow : uuid;
	if (!is_name(name))
		return 0;
	int rc = flow ? walk(s, "flow_details", flow, true, NULL, visit_atom, &v, err)
		      : visit_atom(s, uuid, &v, err);
	return rc == TF_ENOTFOUND ? 0 : rc;
}

/* ---- what it does not do ---- */

static int refuse(struct tf_backend *b, struct tf_err *err)
{
	return tf_err_set(err, TF_ESTATE,
		"%s: a directory of TaskFlow is only read; keep flows in a sqlite:/// file or in "
		"postgresql://",
		directory_of(b)->path);
}

static int dir_save(struct tf_backend *b, const struct tf_save *save, struct tf_err *err)
{
	(void)save;
	return refuse(b, err);
}

static int dir_remove(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	(void)uuid;
	return refuse(b, err);
}

static void dir_unlock(struct tf_backend *b, const char *flow)
{
	(void)b;
	(void)flow;
}

static bool dir_owner(struct tf_backend *b, const char *flow, struct tf_owner *out)
{
	(void)b;
	(void)flow;
	*out = (struct tf_owner){.pid = -1};
	return false;
}

static void dir_close(struct tf_backend *b)
{
	free(directory_of(b)->path);
	free(b);
}

static int dir_open(
	const char *path, const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	(void)config;
	char *books = tf_asprintf("%s/books", path);
	bool there = access(books, R_OK | X_OK) == 0;
	int code = open_code();
	free(books);
	if (!there)
		return tf_err_set(err, code,
			"%s is no directory of TaskFlow's persistence that can be read: books: %s", path,
			strerror(errno));
	struct directory *s = TF_NEW(struct directory);
	s->base.ops = &tf_backend_directory;
	s->path = tf_strdup(path);
	*out = &s->base;
	return 0;
}

const struct tf_backend_ops tf_backend_directory = {
	.name = "dir",
	.open = dir_open,
	.close = dir_close,
	.save = dir_save,
	.books = dir_books,
	.flows = dir_flows,
	.atoms = dir_atoms,
	.remove_book = dir_remove,
	.remove_flow = dir_remove,
	.lock = dir_remove,
	.unlock = dir_unlock,
	.owner = dir_owner,
};
