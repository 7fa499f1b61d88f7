#include "transport/kombu_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "transport/fs_folder.h"

enum { TABLE_MAX = 16 << 20 }; /* one row per flow run is added by Python peers, and none is removed */

struct row {
	char *cells[3]; /* routing key, pattern, queue; owned */
};

static void row_free(struct row *r)
{
	size_t i;

	for (i = 0; i < 3; i++)
		free(r->cells[i]);
}

static int row_read(struct tf_json v, size_t number, struct row *out, struct tf_err *err)
{
	struct tf_json_iter it;
	struct tf_json key, cell;
	size_t i;

	*out = (struct row){0};
	if (tf_json_type(v) != TF_JSON_ARRAY || tf_json_count(v) != 3)
		return tf_err_set(err, TF_EFORMAT, "row %zu is no list of three strings", number);
	it = tf_json_iter(v);
	for (i = 0; i < 3 && tf_json_next(&it, &key, &cell); i++) {
		if (tf_json_type(cell) == TF_JSON_STRING)
			out->cells[i] = tf_json_strdup(cell, err);
		if (out->cells[i])
			continue;
		row_free(out);
		return tf_err_set(err, TF_EFORMAT, "row %zu is no list of three strings", number);
	}
	return 0;
}

static bool is_empty(const char *text, size_t len)
{
	while (len && memchr(" \t\r\n", text[len - 1], 4))
		len--;
	return len == 0;
}

int tf_kombu_table_read(const char *text, size_t len,
	void (*row)(void *arg, const char *routing_key, const char *pattern, const char *queue), void *arg,
	struct tf_err *err)
{
	struct tf_json_iter it;
	struct tf_json root, key, v;
	struct row r;
	size_t number = 0;
	int rc;

	if (is_empty(text, len))
		return 0;
	rc = tf_json_validate(text, len, 0, &root, err);
	if (rc < 0)
		return rc;
	if (tf_json_type(root) != TF_JSON_ARRAY)
		return tf_err_set(err, TF_EFORMAT, "the table is %s, not a list",
			tf_json_type_name(tf_json_type(root)));
	it = tf_json_iter(root);
	while (tf_json_next(&it, &key, &v)) {
		rc = row_read(v, ++number, &r, err);
		if (rc < 0)
			return rc;
		if (row)
			row(arg, r.cells[0], r.cells[1], r.cells[2]);
		row_free(&r);
	}
	return 0;
}

struct search {
	const char *routing_key, *queue;
	bool found;
	struct tf_buf rows; /* as text, each with ", " before it */
};

static void write_row(struct tf_buf *out, const char *routing_key, const char *pattern, const char *queue)
{
	const char *cells[] = {routing_key, pattern, queue};
	size_t i;

	for (i = 0; i < 3; i++) {
		tf_buf_puts(out, i ? ", " : "[");
		tf_json_write_string(out, cells[i], strlen(cells[i]));
	}
	tf_buf_putc(out, ']');
}

static void search_row(void *arg, const char *routing_key, const char *pattern, const char *queue)
{
	struct search *s = arg;

	s->found |= strcmp(routing_key, s->routing_key) == 0 && !*pattern && strcmp(queue, s->queue) == 0;
	tf_buf_puts(&s->rows, ", ");
	write_row(&s->rows, routing_key, pattern, queue);
}

bool tf_kombu_table_add(
	const char *text, size_t len, const char *routing_key, const char *queue, struct tf_buf *out)
{
	struct search s = {.routing_key = routing_key, .queue = queue};
	int rc = tf_kombu_table_read(text, len, search_row, &s, NULL);

	TF_ASSERT(rc == 0);
	if (!s.found) {
		tf_buf_putc(out, '[');
		write_row(out, routing_key, "", queue);
		if (s.rows.len)
			tf_buf_append(out, s.rows.data, s.rows.len);
		tf_buf_putc(out, ']');
	}
	tf_buf_free(&s.rows);
	return !s.found;
}

/* Only whole files appear: written aside, then linked, which fails if somebody else was faster. */
static int create(int folder, const char *name, const char *routing_key, const char *queue)
{
	struct tf_buf text = TF_BUF_INIT;
	char part[TF_UUID_LEN + 1];
	int rc;

	tf_uuid(part);
	tf_kombu_table_add("", 0, routing_key, queue, &text);
	rc = tf_fs_folder_write(folder, part, &text, false);
	if (rc == 0) {
		rc = linkat(folder, part, folder, name, 0) < 0 ? errno : 0;
		unlinkat(folder, part, 0);
	}
	tf_buf_free(&text);
	return rc;
}

/* In place, as kombu does: whoever waits for the lock waits for this very file. */
static int update(
	int folder, int fd, const char *name, const char *routing_key, const char *queue, struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT, next = TF_BUF_INIT;
	int rc = tf_fs_folder_read(folder, name, TABLE_MAX, &text);

	if (rc) {
		errno = rc;
		rc = tf_err_sys(err, "reading");
		goto out;
	}
	rc = tf_kombu_table_read(text.data, text.len, NULL, NULL, err);
	if (rc < 0)
		goto out;
	if (tf_kombu_table_add(text.data, text.len, routing_key, queue, &next) &&
		pwrite(fd, next.data, next.len, 0) != (ssize_t)next.len)
		rc = tf_err_sys(err, "writing");
out:
	tf_buf_free(&text);
	tf_buf_free(&next);
	return rc;
}

static int lock_and_update(
	int folder, const char *name, const char *routing_key, const char *queue, struct tf_err *err)
{
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc;

	if (fd < 0)
		return tf_err_sys(err, "opening");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		rc = errno == EWOULDBLOCK ? tf_err_set(err, TF_EAGAIN, "locked by another process")
					  : tf_err_sys(err, "locking");
	else
		rc = update(folder, fd, name, routing_key, queue, err);
	close(fd);
	return rc;
}

int tf_kombu_table_register(const char *folder, const char *exchange, const char *routing_key,
	const char *queue, struct tf_err *err)
{
	char *name = tf_asprintf("%s.exchange", exchange);
	int fd = tf_fs_folder_open(folder, err), rc;

	if (fd < 0) {
		free(name);
		return fd;
	}
	rc = create(fd, name, routing_key, queue);
	if (rc == EEXIST)
		rc = lock_and_update(fd, name, routing_key, queue, err);
	else if (rc) {
		errno = rc;
		rc = tf_err_sys(err, "creating");
	}
	if (rc < 0)
		tf_err_prefix(err, "exchange table %s/%s", folder, name);
	close(fd);
	free(name);
	return rc;
}
