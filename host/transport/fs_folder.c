#include "transport/fs_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folders.h"
#include "base/mem.h"

char *tf_fs_folder_absolute(const char *path)
{
	char *here, *absolute;

	if (*path == '/' || !(here = getcwd(NULL, 0)))
		return tf_strdup(path);
	absolute = tf_asprintf("%s/%s", here, path);
	free(here);
	return absolute;
}

int tf_fs_folder_open(const char *path, struct tf_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		(void)tf_make_folders(path, 0777, NULL); /* what cannot be made shows when it is opened */
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return tf_err_sys(err, "folder %s", path);
	return fd;
}

int tf_fs_folder_open_in(int folder, const char *path, const char *name, struct tf_err *err)
{
	struct stat st;
	bool made = mkdirat(folder, name, 0700) == 0;
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return tf_err_sys(err, "folder %s/%s", path, name);
	/* Whoever may use the folder may use what is in it, and no more (hence the sticky bit). */
	if (made && fstat(folder, &st) == 0)
		fchmod(fd, st.st_mode & 01777);
	return fd;
}

bool tf_fs_folder_is(int folder, const char *path)
{
	struct stat by_fd, by_path;

	return fstat(folder, &by_fd) == 0 && stat(path, &by_path) == 0 && by_fd.st_dev == by_path.st_dev &&
	       by_fd.st_ino == by_path.st_ino;
}

bool tf_fs_folder_is_gone(int folder)
{
	struct stat st;

	return fstat(folder, &st) < 0 || st.st_nlink == 0;
}

static int read_all(int fd, size_t max, struct tf_buf *out)
{
	struct stat st;
	size_t start = out->len, room;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if ((uintmax_t)st.st_size > max)
		return EFBIG;
	tf_buf_reserve(out, (size_t)st.st_size + 1); /* the end shows without growing */
	do {
		tf_buf_reserve(out, 2);
		room = out->cap - out->len - 1;
		n = read(fd, out->data + out->len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		out->len += (size_t)n;
		if (out->len - start > max)
			return EFBIG;
		/* Less than there was room for is the end, where it can be. */
	} while (n != 0 && (n < 0 || (size_t)n == room || out->len - start < (size_t)st.st_size));
	out->data[out->len] = '\0';
	return 0;
}

int tf_fs_folder_read(int folder, const char *name, size_t max, struct tf_buf *out)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int rc;

	if (fd < 0) /* a link; a socket */
		return errno == ELOOP || errno == ENXIO ? EINVAL : errno;
	rc = read_all(fd, max, out);
	close(fd);
	return rc;
}

static int write_all(int fd, const struct tf_buf *content)
{
	size_t done = 0;
	ssize_t n;

	while (done < content->len) {
		n = write(fd, content->data + done, content->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		done += (size_t)n;
	}
	return 0;
}

/* Write an open file from its begin, and cut off what it has beyond that if `cut`; takes `fd`. */
static int write_and_close(
	int folder, const char *name, int fd, const struct tf_buf *content, bool cut, bool sync)
{
	int rc = write_all(fd, content);

	if (rc == 0 && cut && ftruncate(fd, (off_t)content->len) < 0)
		rc = errno;
	if (rc == 0 && sync && fsync(fd) < 0)
		rc = errno;
	if (close(fd) < 0 && rc == 0) /* some file systems tell of a full disk only here */
		rc = errno;
	if (rc)
		unlinkat(folder, name, 0);
	return rc;
}

int tf_fs_folder_write(int folder, const char *name, const struct tf_buf *content, bool sync)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

	return fd < 0 ? errno : write_and_close(folder, name, fd, content, false, sync);
}

int tf_fs_folder_rewrite(int folder, const char *name, const struct tf_buf *content, bool sync)
{
	int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return write_and_close(folder, name, fd, content, true, sync);
	unlinkat(folder, name, 0);
	return errno;
}
