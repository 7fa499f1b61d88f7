#include "wbe/diary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/folders.h"
#include "base/map.h"
#include "base/mem.h"

#define SUFFIX ".diary"
#define FRESH ".new" /* while it is written anew */
/* A file of this size is written anew when most of it is settled. */
#define COMPACT_BYTES (1u << 20)
#define HEAD_MAX 128

/* Records: a line, then as many bytes as it says, then a newline.
 *   take ID REPLY_TO-BYTES CORRELATION-ID-BYTES BODY-BYTES
 *   acknowledge ID / end ID FAILED FINAL-BYTES / settle ID */

struct tf_diary {
	char *dir, *path, owner[TF_UUID_LEN + 1];
	int fd; /* -1: no file yet */
	uint64_t last_id, size, compact_at;
	struct tf_map *open; /* id in hex -> struct open */
};

struct part { /* of the file */
	uint64_t at;
	size_t len;
};

struct open {
	struct part taken, ended; /* length 0: not so */
	struct part moved[2];     /* while the file is written anew: where they are then */
	bool acknowledged;
};

static const char *id_text(uint64_t id, char out[20])
{
	snprintf(out, 20, "%" PRIx64, id);
	return out;
}

struct tf_diary *tf_diary_new(const char *dir, const char *owner)
{
	struct tf_diary *d = TF_NEW(struct tf_diary);
	d->dir = tf_strdup(dir);
	d->path = tf_asprintf("%s/%s" SUFFIX, dir, owner);
	snprintf(d->owner, sizeof(d->owner), "%s", owner);
	d->fd = -1;
	d->compact_at = COMPACT_BYTES;
	d->open = tf_map_new();
	return d;
}

void tf_diary_delete(struct tf_diary *d)
{
	if (!d)
		return;
	if (d->fd >= 0 && tf_map_count(d->open) == 0)
		unlink(d->path);
	if (d->fd >= 0)
		close(d->fd);
	tf_map_delete(d->open, free);
	free(d->dir);
	free(d->path);
	free(d);
}

size_t tf_diary_open_count(const struct tf_diary *d)
{
	return tf_map_count(d->open);
}

/* ---- writing */

static int open_locked(const char *path, int flags, struct tf_err *err)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int rc = tf_err_sys(err, "%s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

/* All of it, or nothing: half a record would hide those after it. */
static int append(int fd, uint64_t *size, const char *data, size_t len, const char *path, struct tf_err *err)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)(*size + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int rc = tf_err_sys(err, "%s", path);
			if (ftruncate(fd, (off_t)*size) < 0)
				return rc; /* what is too much is no whole record */
			return rc;
		}
		done += (size_t)n;
	}
	*size += len;
	return 0;
}

static int write_record(struct tf_diary *d, struct tf_buf *record, struct part *where, struct tf_err *err)
{
	const struct part part = {d->size, record->len};
	int rc = append(d->fd, &d->size, record->data, record->len, d->path, err);
	if (rc == 0 && where)
		*where = part;
	tf_buf_free(record);
	return rc;
}

int tf_diary_take(struct tf_diary *d, const struct tf_diary_entry *e, uint64_t *id, struct tf_err *err)
{
	char text[20];
	struct tf_buf record = TF_BUF_INIT;
	struct open *o = TF_NEW(struct open);
	int rc = 0;
	if (d->fd < 0 && (rc = tf_make_folders(d->dir, 0700, err)) == 0) {
		rc = open_locked(d->path, O_RDWR | O_CREAT | O_EXCL, err);
		d->fd = rc < 0 ? -1 : rc;
	}
	if (d->fd >= 0) {
		*id = ++d->last_id;
		tf_buf_printf(&record, "take %" PRIu64 " %zu %zu %zu\n", *id, strlen(e->reply_to),
			strlen(e->correlation_id), e->body_len);
		tf_buf_puts(&record, e->reply_to);
		tf_buf_puts(&record, e->correlation_id);
		tf_buf_append(&record, e->body, e->body_len);
		tf_buf_putc(&record, '\n');
		rc = write_record(d, &record, &o->taken, err);
	}
	if (rc < 0)
		free(o);
	else
		tf_map_set(d->open, id_text(*id, text), o);
	return rc < 0 ? rc : 0;
}

static struct open *find(const struct tf_diary *d, uint64_t id)
{
	char text[20];
	return tf_map_get(d->open, id_text(id, text));
}

int tf_diary_acknowledge(struct tf_diary *d, uint64_t id, struct tf_err *err)
{
	struct tf_buf record = TF_BUF_INIT;
	struct open *o = find(d, id);
	TF_ASSERT(o);
	tf_buf_printf(&record, "acknowledge %" PRIu64 "\n\n", id);
	int rc = write_record(d, &record, NULL, err);
	if (rc == 0 && fdatasync(d->fd) < 0)
		rc = tf_err_sys(err, "%s", d->path);
	o->acknowledged = rc == 0;
	return rc;
}

int tf_diary_outcome(
	struct tf_diary *d, uint64_t id, bool failed, const char *final, size_t len, struct tf_err *err)
{
	struct tf_buf record = TF_BUF_INIT;
	struct open *o = find(d, id);
	TF_ASSERT(o);
	tf_buf_printf(&record, "end %" PRIu64 " %d %zu\n", id, failed, len);
	tf_buf_append(&record, final, len);
	tf_buf_putc(&record, '\n');
	return write_record(d, &record, &o->ended, err);
}

/* ---- writing anew */

struct copying {
	struct tf_diary *d;
	int fd;
	uint64_t size;
	const char *path;
	bool ok;
};

static bool copy_part(struct copying *c, const struct part *p, struct part *moved)
{
	char *data = tf_malloc(p->len + 1);
	*moved = (struct part){c->size, p->len};
	bool ok = pread(c->d->fd, data, p->len, (off_t)p->at) == (ssize_t)p->len &&
		  append(c->fd, &c->size, data, p->len, c->path, NULL) == 0;
	free(data);
	return ok;
}

static bool copy_open(const char *id, void *value, void *arg)
{
	struct open *o = value;
	struct copying *c = arg;
	char line[HEAD_MAX];
	int n = snprintf(line, sizeof(line), "acknowledge %llu\n\n", strtoull(id, NULL, 16));
	c->ok = copy_part(c, &o->taken, &o->moved[0]) &&
		(!o->acknowledged || append(c->fd, &c->size, line, (size_t)n, c->path, NULL) == 0) &&
		copy_part(c, &o->ended, &o->moved[1]);
	return c->ok;
}

static bool take_over(const char *id, void *value, void *arg)
{
	struct open *o = value;
	(void)id, (void)arg;
	o->taken = o->moved[0];
	o->ended = o->moved[1];
	return true;
}

/* If that fails, the file only stays large. */
static void compact(struct tf_diary *d)
{
	char *fresh = tf_asprintf("%s" FRESH, d->path);
	struct copying c = {.d = d, .path = fresh, .ok = true};
	c.fd = open_locked(fresh, O_RDWR | O_CREAT | O_TRUNC, NULL);
	d->compact_at = 2 * d->size;
	if (c.fd >= 0)
		tf_map_each(d->open, copy_open, &c);
	if (c.fd >= 0 && c.ok && fdatasync(c.fd) == 0 && rename(fresh, d->path) == 0) {
		tf_map_each(d->open, take_over, NULL);
		close(d->fd);
		d->fd = c.fd;
		d->size = c.size;
		d->compact_at = 2 * c.size > COMPACT_BYTES ? 2 * c.size : COMPACT_BYTES;
	} else if (c.fd >= 0) {
		unlink(fresh);
		close(c.fd);
	}
	free(fresh);
}

void tf_diary_settle(struct tf_diary *d, uint64_t id)
{
	char text[20];
	struct tf_buf record = TF_BUF_INIT;
	free(tf_map_remove(d->open, id_text(id, text)));
	if (tf_map_count(d->open) == 0 && ftruncate(d->fd, 0) == 0) {
		d->size = 0;
		d->compact_at = COMPACT_BYTES;
		return;
	}
	tf_buf_printf(&record, "settle %" PRIu64 "\n\n", id);
	(void)write_record(d, &record, NULL, NULL); /* at worst somebody does once more what is done */
	if (d->size >= d->compact_at)
		compact(d);
}

/* ---- reading */

static char *read_all(int fd, size_t *len)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0) /* somebody else has settled it meanwhile */
		return NULL;
	char *data = tf_malloc((size_t)st.st_size + 1);
	size_t done = 0;
	ssize_t n = 1;
	while (n > 0 && done < (size_t)st.st_size) {
		n = pread(fd, data + done, (size_t)st.st_size - done, (off_t)done);
		done += n > 0 ? (size_t)n : 0;
	}
	data[done] = '\0';
	*len = done;
	return data;
}

static void entry_free(struct tf_diary_entry *e)
{
	free(e->reply_to);
	free(e->correlation_id);
	free(e->body);
	free(e->final);
}

struct reading {
	const char *at, *end;
	struct tf_map *open; /* id -> struct tf_diary_entry */
};

/* `len` bytes after a record's line, NULL if they are not there; moves on. */
static char *read_bytes(struct reading *r, size_t len)
{
	if (len > (size_t)(r->end - r->at))
		return NULL;
	char *copy = tf_malloc(len + 1);
	memcpy(copy, r->at, len);
	copy[len] = '\0';
	r->at += len;
	return copy;
}

static bool read_take(struct reading *r, const char *id, size_t reply_to, size_t correlation_id, size_t body)
{
	struct tf_diary_entry *e = TF_NEW(struct tf_diary_entry);
	e->reply_to = read_bytes(r, reply_to);
	e->correlation_id = e->reply_to ? read_bytes(r, correlation_id) : NULL;
	e->body = e->correlation_id ? read_bytes(r, body) : NULL;
	e->body_len = body;
	if (!e->body || tf_map_get(r->open, id)) {
		entry_free(e);
		free(e);
		return false;
	}
	tf_map_set(r->open, id, e);
	return true;
}

/* False at the end, and where it is torn. */
static bool read_record(struct reading *r)
{
	char line[HEAD_MAX], what[16], id[24];
	size_t a = 0, b = 0, c = 0;
	const char *eol = memchr(r->at, '\n', (size_t)(r->end - r->at));
	if (!eol || (size_t)(eol - r->at) >= sizeof(line))
		return false;
	memcpy(line, r->at, (size_t)(eol - r->at));
	line[eol - r->at] = '\0';
	r->at = eol + 1;
	if (sscanf(line, "%15s %23s %zu %zu %zu", what, id, &a, &b, &c) < 2)
		return false;
	struct tf_diary_entry *e = tf_map_get(r->open, id);
	bool ok = true;
	if (!strcmp(what, "take")) {
		ok = read_take(r, id, a, b, c);
	} else if (!e) {
		ok = false;
	} else if (!strcmp(what, "acknowledge")) {
		e->acknowledged = true;
	} else if (!strcmp(what, "end")) {
		e->failed = a != 0;
		e->final_len = b;
		e->final = read_bytes(r, b);
		ok = e->final != NULL;
	} else if (!strcmp(what, "settle")) {
		tf_map_remove(r->open, id);
		entry_free(e);
		free(e);
	}
	return ok && r->at < r->end && *r->at++ == '\n';
}

static bool collect(const char *id, void *value, void *arg)
{
	struct tf_orphan *o = arg;
	(void)id;
	o->entries[o->count++] = *(struct tf_diary_entry *)value;
	free(value);
	return true;
}

static void read_entries(struct tf_orphan *o)
{
	size_t len = 0;
	char *data = read_all(o->fd, &len);
	if (!data)
		return;
	struct reading r = {data, data + len, tf_map_new()};
	while (read_record(&r))
		;
	o->entries = tf_calloc(tf_map_count(r.open) + 1, sizeof(*o->entries));
	tf_map_each(r.open, collect, o);
	tf_map_delete(r.open, NULL);
	free(data);
}

/* NULL: it is no diary, or its worker lives. */
static struct tf_orphan *open_orphan(const char *dir, const char *name)
{
	size_t len = strlen(name);
	struct tf_orphan *o;
	if (len != TF_UUID_LEN + strlen(SUFFIX) || strcmp(name + TF_UUID_LEN, SUFFIX) != 0)
		return NULL;
	char *path = tf_asprintf("%s/%s", dir, name);
	int fd = open_locked(path, O_RDWR, NULL);
	if (fd < 0) {
		free(path);
		return NULL;
	}
	o = TF_NEW(struct tf_orphan);
	snprintf(o->owner, sizeof(o->owner), "%.*s", TF_UUID_LEN, name);
	o->path = path;
	o->fd = fd;
	read_entries(o);
	return o;
}

struct tf_orphan *tf_orphan_next(const char *dir)
{
	DIR *d = opendir(dir);
	struct tf_orphan *found = NULL;
	struct dirent *e;
	while (d && !found && (e = readdir(d)) != NULL) {
		found = open_orphan(dir, e->d_name);
		if (found && found->count == 0) {
			tf_orphan_delete(found, true);
			found = NULL;
		}
	}
	if (d)
		closedir(d);
	return found;
}

void tf_orphan_delete(struct tf_orphan *o, bool settled)
{
	if (!o)
		return;
	if (settled)
		unlink(o->path);
	close(o->fd);
	for (size_t i = 0; i < o->count; i++)
		entry_free(&o->entries[i]);
	free(o->entries);
	free(o->path);
	free(o);
}
