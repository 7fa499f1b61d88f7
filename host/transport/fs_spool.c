#include "transport/fs_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "transport/fs_folder.h"
#include "transport/kombu_file.h"

static const char ROOT[] = ".tfhost-spool", LOCK[] = "lock", TAKEN[] = ".taken", PART[] = ".part",
		  MSG[] = ".msg";

/* A folder without a lock is one that is being made, or was left so by a crash in between. */
enum { UNLOCKED_GRACE_S = 60 };

enum { SPARE_BYTES = 16 << 10 }; /* larger files are removed */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Make, open and lock `s->name`. EAGAIN: somebody who recovers took the new folder for a dead one. */
static int make_own(struct tf_fs_spool *s, const char *path, struct tf_err *err)
{
	s->own = tf_fs_folder_open_in(s->all, path, s->name, err);
	if (s->own < 0)
		return s->own;
	s->lock = openat(s->own, LOCK, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (s->lock < 0)
		return errno == ENOENT || errno == EEXIST
			       ? TF_EAGAIN
			       : tf_err_sys(err, "%s/%s/%s/%s", path, ROOT, s->name, LOCK);
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? TF_EAGAIN
			       : tf_err_sys(err, "locking %s/%s/%s/%s", path, ROOT, s->name, LOCK);
	return fstat(s->lock, &s->made) < 0 || s->made.st_nlink == 0 ? TF_EAGAIN : 0;
}

int tf_fs_spool_create(struct tf_fs_spool *s, int data, const char *path, struct tf_err *err)
{
	int rc, tries;

	*s = TF_FS_SPOOL_INIT;
	s->data = data;
	s->all = tf_fs_folder_open_in(data, path, ROOT, err);
	if (s->all < 0)
		return s->all;
	for (tries = 0; tries < 10; tries++) {
		tf_uuid(s->name);
		rc = make_own(s, path, err);
		if (rc == 0)
			return 0;
		close_fd(&s->lock);
		close_fd(&s->own);
		if (rc != TF_EAGAIN)
			break;
	}
	if (rc == TF_EAGAIN)
		tf_err_set(err, TF_EIO, "%s/%s: new folders vanish", path, ROOT);
	close_fd(&s->all);
	return rc == TF_EAGAIN ? TF_EIO : rc;
}

static void part_name(uint64_t n, char part[40])
{
	snprintf(part, 40, "%ju%s", (uintmax_t)n, PART);
}

static void drop_spares(struct tf_fs_spool *s)
{
	char part[40];

	while (s->spare_count) {
		part_name(s->spares[--s->spare_count], part);
		unlinkat(s->own, part, 0);
	}
}

void tf_fs_spool_destroy(struct tf_fs_spool *s)
{
	drop_spares(s);
	/* Only an empty one: rmdir fails while there are claims, and the lock must outlast them. */
	if (s->own >= 0 && s->lock >= 0) {
		struct dirent *d;
		int copy = openat(s->own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
		bool empty = dir != NULL;

		while (empty && (d = readdir(dir)))
			empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
				strcmp(d->d_name, LOCK) == 0;
		if (dir)
			closedir(dir);
		else if (copy >= 0)
			close(copy);
		if (empty) {
			unlinkat(s->own, LOCK, 0);
			unlinkat(s->all, s->name, AT_REMOVEDIR);
		}
	}
	close_fd(&s->lock);
	close_fd(&s->own);
	close_fd(&s->all);
	s->data = -1;
}

bool tf_fs_spool_is_gone(const struct tf_fs_spool *s)
{
	return tf_fs_folder_is_gone(s->own);
}

/* Replace the suffix `from` of `name` by `to`. False if it does not end so. */
static bool swap_suffix(const char *name, const char *from, const char *to, char out[NAME_MAX + 1])
{
	size_t len = strlen(name), cut = strlen(from);

	if (len <= cut || strcmp(name + len - cut, from) != 0 || len - cut + strlen(to) > NAME_MAX)
		return false;
	memcpy(out, name, len - cut);
	memcpy(out + len - cut, to, strlen(to) + 1);
	return true;
}

static void claim_name(const char *message, char out[NAME_MAX + 1])
{
	bool ok = swap_suffix(message, MSG, TAKEN, out);

	TF_ASSERT(ok); /* names come from tf_kombu_name_parse and have been measured */
}

int tf_fs_spool_claim(struct tf_fs_spool *s, const char *message)
{
	char claim[NAME_MAX + 1];

	claim_name(message, claim);
	return renameat(s->data, message, s->own, claim) < 0 ? errno : 0;
}

int tf_fs_spool_read(struct tf_fs_spool *s, const char *message, size_t max, struct tf_buf *out)
{
	char claim[NAME_MAX + 1];

	claim_name(message, claim);
	return tf_fs_folder_read(s->own, claim, max, out);
}

/* A small file, such as we would create it. */
static bool is_worth_keeping(const struct tf_fs_spool *s, const char *claim)
{
	struct stat st;

	return fstatat(s->own, claim, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size <= SPARE_BYTES &&
	       st.st_nlink == 1 && st.st_mode == s->made.st_mode && st.st_uid == s->made.st_uid &&
	       st.st_gid == s->made.st_gid;
}

int tf_fs_spool_remove(struct tf_fs_spool *s, const char *message)
{
	char claim[NAME_MAX + 1];

	char part[40];

	claim_name(message, claim);
	if (s->spare_count < TF_FS_SPARES && is_worth_keeping(s, claim)) {
		part_name(++s->parts, part);
		if (renameat(s->own, claim, s->own, part) == 0) {
			s->spares[s->spare_count++] = s->parts;
			return 0;
		}
	}
	return unlinkat(s->own, claim, 0) < 0 ? errno : 0;
}

int tf_fs_spool_move(struct tf_fs_spool *s, const char *message, int folder, const char *name, size_t max)
{
	char claim[NAME_MAX + 1];
	struct tf_buf content = TF_BUF_INIT;
	int rc;

	claim_name(message, claim);
	if (renameat(s->own, claim, folder, name) == 0)
		return 0;
	if (errno != EXDEV)
		return errno;
	rc = tf_fs_folder_read(s->own, claim, max, &content);
	if (rc == 0)
		rc = tf_fs_folder_write(folder, name, &content, false);
	if (rc == 0 && unlinkat(s->own, claim, 0) < 0)
		rc = errno;
	tf_buf_free(&content);
	return rc;
}

/* A new file takes the claim's place in one step. Without the mark (disk full, no complete message)
 * the message is still worth keeping. */
static void mark_claim(struct tf_fs_spool *s, int from, const char *claim, size_t max)
{
	struct tf_buf content = TF_BUF_INIT;
	char part[40];
	size_t len;

	if (tf_fs_folder_read(from, claim, max, &content) != 0)
		goto out;
	len = content.len;
	if (!tf_kombu_file_mark_redelivered(&content) || content.len == len)
		goto out;
	snprintf(part, sizeof(part), "%ju%s", (uintmax_t)++s->parts, PART);
	if (tf_fs_folder_write(s->own, part, &content, false) == 0 && renameat(s->own, part, from, claim) < 0)
		unlinkat(s->own, part, 0);
out:
	tf_buf_free(&content);
}

static int give_back(
	struct tf_fs_spool *s, int from, const char *claim, const char *message, bool mark, size_t max)
{
	if (mark)
		mark_claim(s, from, claim, max);
	return renameat(from, claim, s->data, message) < 0 ? errno : 0;
}

int tf_fs_spool_give_back(struct tf_fs_spool *s, const char *message, bool mark, size_t max)
{
	char claim[NAME_MAX + 1];

	claim_name(message, claim);
	return give_back(s, s->own, claim, message, mark, max);
}

/* Write a part, and have its name. */
static int write_part(struct tf_fs_spool *s, const struct tf_buf *content, bool sync, char part[40])
{
	while (s->spare_count) {
		part_name(s->spares[--s->spare_count], part);
		if (tf_fs_folder_rewrite(s->own, part, content, sync) == 0)
			return 0;
	}
	part_name(++s->parts, part);
	return tf_fs_folder_write(s->own, part, content, sync);
}

int tf_fs_spool_publish(struct tf_fs_spool *s, const char *message, const struct tf_buf *content, bool sync)
{
	char part[40];
	int rc = write_part(s, content, sync, part);

	if (rc)
		return rc;
	if (renameat(s->own, part, s->data, message) < 0) {
		rc = errno;
		unlinkat(s->own, part, 0);
	}
	return rc;
}

/* ---- recovery --------------------------------------------------------------------------------- */

/* The lock of the folder `own`, if its owner is dead; else -1. */
static int lock_of_dead(int own)
{
	struct stat st;
	int fd = openat(own, LOCK, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && fstat(own, &st) == 0 && st.st_nlink > 0 &&
		time(NULL) - st.st_mtime > UNLOCKED_GRACE_S)
		fd = openat(own, LOCK, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -1;
	/* Without a link, another one who recovered was faster. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Returns how many claims went back; sets *left unless the folder is empty now. */
static unsigned empty_folder(struct tf_fs_spool *s, int own, unsigned budget, size_t max, bool *left)
{
	char message[NAME_MAX + 1];
	struct dirent *d;
	unsigned count = 0;
	int copy = openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

	if (!dir) {
		close_fd(&copy);
		*left = true;
		return 0;
	}
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
			strcmp(d->d_name, LOCK) == 0)
			continue;
		if (swap_suffix(d->d_name, PART, "", message)) { /* never published */
			unlinkat(own, d->d_name, 0);
		} else if (count == budget || !swap_suffix(d->d_name, TAKEN, MSG, message)) {
			*left = true;
		} else if (give_back(s, own, d->d_name, message, true, max) == 0) {
			count++;
		} else {
			*left = true;
		}
	}
	closedir(dir);
	return count;
}

static unsigned recover_one(struct tf_fs_spool *s, const char *name, unsigned budget, size_t max)
{
	int own = openat(s->all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), lock;
	unsigned count = 0;
	bool left = false;

	if (own < 0)
		return 0;
	lock = lock_of_dead(own);
	if (lock >= 0) {
		count = empty_folder(s, own, budget, max, &left);
		if (!left) {
			unlinkat(own, LOCK, 0);
			unlinkat(s->all, name, AT_REMOVEDIR);
		}
		close(lock);
	}
	close(own);
	return count;
}

/* The path of a queue's mark; false: it would be too long. */
static bool queue_mark(const char *queue, char path[NAME_MAX + 1])
{
	return snprintf(path, NAME_MAX + 1, ".open-%s", queue) <= NAME_MAX;
}

int tf_fs_spool_open_queue(struct tf_fs_spool *s, const char *queue)
{
	char path[NAME_MAX + 1];
	if (!queue_mark(queue, path))
		return ENAMETOOLONG;
	int fd = openat(s->all, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

void tf_fs_spool_close_queue(struct tf_fs_spool *s, const char *queue)
{
	char path[NAME_MAX + 1];
	if (queue_mark(queue, path))
		unlinkat(s->all, path, 0);
}

bool tf_fs_spool_is_open(const struct tf_fs_spool *s, const char *queue)
{
	char path[NAME_MAX + 1];
	return !queue_mark(queue, path) || faccessat(s->all, path, F_OK, 0) == 0 || errno != ENOENT;
}

unsigned tf_fs_spool_recover(struct tf_fs_spool *s, unsigned budget, size_t max)
{
	struct dirent *d;
	unsigned count = 0;
	int copy = openat(s->all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

	if (!dir) {
		close_fd(&copy);
		return 0;
	}
	while (count < budget && (d = readdir(dir)))
		if (d->d_name[0] != '.' && strcmp(d->d_name, s->name) != 0)
			count += recover_one(s, d->d_name, budget - count, max);
	closedir(dir);
	return count;
}
