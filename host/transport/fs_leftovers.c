#include "transport/fs_leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/uuid.h"
#include "transport/fs_claims.h"

static void each_entry(
	int folder, const char *name, void (*visit)(int folder, const char *name, void *arg), void *arg)
{
	struct dirent *e;
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			visit(dirfd(dir), e->d_name, arg);
	closedir(dir);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);
	return len > cut && !strcmp(name + len - cut, suffix);
}

struct owner {
	uint64_t claims, parts;
};

static void count_owned(int folder, const char *name, void *arg)
{
	struct owner *o = arg;
	(void)folder;
	o->claims += ends_in(name, ".taken");
	o->parts += ends_in(name, ".part");
}

/* The kernel drops the lock of a dead process. */
static bool is_alive(int spool, const char *name)
{
	char path[300];
	struct stat st;
	if (strlen(name) > 255)
		return true;
	stpcpy(stpcpy(path, name), "/lock");
	int fd = openat(spool, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) /* one that is being made has none yet */
		return fstatat(spool, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || time(NULL) - st.st_mtime < 60;
	bool alive = flock(fd, LOCK_SH | LOCK_NB) < 0;
	close(fd);
	return alive;
}

static void count_spool(int spool, const char *name, void *arg)
{
	struct tf_fs_leftovers *l = arg;
	struct owner o = {0};
	if (!tf_is_uuid(name)) /* other notes that peers make there */
		return;
	each_entry(spool, name, count_owned, &o);
	if (is_alive(spool, name)) {
		l->claims += o.claims;
		l->owners++;
	} else {
		l->dead_claims += o.claims;
		l->dead_parts += o.parts;
	}
}

static void count_set_aside(int folder, const char *name, void *arg)
{
	struct tf_fs_leftovers *l = arg;
	(void)folder;
	(void)name;
	l->set_aside++;
}

static void count_entry(int folder, const char *name, void *arg)
{
	struct tf_fs_leftovers *l = arg;
	struct stat st;
	if (!strcmp(name, ".tfhost-spool"))
		each_entry(folder, name, count_spool, l);
	else if (!strcmp(name, TF_FS_QUARANTINE))
		each_entry(folder, name, count_set_aside, l);
	else if (!strncmp(name, TF_FS_DOCTOR, sizeof(TF_FS_DOCTOR) - 1))
		l->of_doctors++;
	else if (ends_in(name, ".msg") && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		l->messages++;
		if (l->oldest == 0 || st.st_mtime < l->oldest)
			l->oldest = st.st_mtime;
	}
}

void tf_fs_leftovers_count(int folder, struct tf_fs_leftovers *out)
{
	*out = (struct tf_fs_leftovers){0};
	each_entry(folder, ".", count_entry, out);
}
