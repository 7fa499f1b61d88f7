/* Locks of flows: a file each, locked by whoever runs the flow. The kernel lets go of it when that process dies. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "persistence/backend.h"

enum { DEAD_TRIES = 200, DEAD_WAIT_US = 10000 };

struct tf_owner_locks {
	char *dir;
	struct tf_map *held; /* flow uuid -> descriptor + 1 */
};

struct tf_owner_locks *tf_owner_locks_new(const char *dir)
{
	struct tf_owner_locks *l = TF_NEW(struct tf_owner_locks);
	l->dir = tf_strdup(dir);
	l->held = tf_map_new();
	return l;
}

static char *path_of(const struct tf_owner_locks *l, const char *flow)
{
	return tf_asprintf("%s/%s.lock", l->dir, flow);
}

static bool is_name(const char *flow)
{
	return flow[0] && flow[0] != '.' && !strchr(flow, '/');
}

static void let_go(struct tf_owner_locks *l, const char *flow, int fd)
{
	char *path = path_of(l, flow);
	unlink(path);
	free(path);
	close(fd);
}

static bool release_one(const char *flow, void *value, void *arg)
{
	let_go(arg, flow, (int)(intptr_t)value - 1);
	return true;
}

void tf_owner_locks_delete(struct tf_owner_locks *l)
{
	if (!l)
		return;
	tf_map_each(l->held, release_one, l);
	tf_map_delete(l->held, NULL);
	free(l->dir);
	free(l);
}

static void read_owner(int fd, struct tf_owner *out)
{
	char text[256];
	*out = (struct tf_owner){.pid = -1};
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (sscanf(text, "%" SCNd64 " %64s %31[^\n]", &out->pid, out->host, out->since) < 2)
		*out = (struct tf_owner){.pid = -1};
}

void tf_owner_self(struct tf_owner *out)
{
	time_t now = time(NULL);
	struct tm tm;
	*out = (struct tf_owner){.pid = getpid()};
	gethostname(out->host, sizeof out->host - 1);
	strftime(out->since, sizeof out->since, "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &tm));
}

static void write_owner(int fd)
{
	struct tf_owner me;
	char text[160];
	tf_owner_self(&me);
	int n = snprintf(text, sizeof text, "%" PRId64 " %s %s\n", me.pid, me.host, me.since);
	/* It only names the owner to people: the lock holds without it. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
		return;
}

/* A slot that was forked from a killed engine holds its parent's locks until the kernel has killed it too. */
bool tf_owner_is_dead(const struct tf_owner *owner)
{
	char host[65] = "";
	gethostname(host, sizeof host - 1);
	return owner->pid > 0 && strcmp(owner->host, host) == 0 && kill((pid_t)owner->pid, 0) < 0 &&
	       errno == ESRCH;
}

/* 1: locked, 0: somebody else has it, -1 with err. The file that is locked is the one of that name. */
static int take(const char *path, int *fd, struct tf_err *err)
{
	for (;;) {
		struct stat here, there;
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (*fd < 0) {
			tf_err_sys(err, "cannot open %s", path);
			return -1;
		}
		if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK
				       ? 0
				       : (tf_err_sys(err, "cannot lock %s", path), close(*fd), -1);
		if (fstat(*fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino)
			return 1;
		close(*fd); /* its last owner removed it just then */
	}
}

int tf_owner_lock(struct tf_owner_locks *l, const char *flow, struct tf_err *err)
{
	int fd;
	struct tf_owner owner;
	if (!is_name(flow))
		return tf_err_set(err, TF_EINVAL, "'%s' is no uuid of a flow", flow);
	if (mkdir(l->dir, 0700) < 0 && errno != EEXIST) {
		tf_err_sys(err, "cannot make the directory %s", l->dir);
		return TF_EIO;
	}
	char *path = path_of(l, flow);
	int got = take(path, &fd, err);
	for (int tries = 0; got == 0 && tries < DEAD_TRIES; tries++) {
		read_owner(fd, &owner);
		if (!tf_owner_is_dead(&owner))
			break;
		close(fd);
		usleep(DEAD_WAIT_US);
		got = take(path, &fd, err);
	}
	free(path);
	if (got < 0)
		return TF_EIO;
	if (got == 0) {
		read_owner(fd, &owner);
		close(fd);
		return tf_err_set(err, TF_EAGAIN,
			"flow %s is run by another engine: process %" PRId64 " on %s, since %s UTC", flow,
			owner.pid, owner.host, owner.since);
	}
	write_owner(fd);
	tf_map_set(l->held, flow, (void *)(intptr_t)(fd + 1));
	return 0;
}

void tf_owner_unlock(struct tf_owner_locks *l, const char *flow)
{
	void *held = tf_map_remove(l->held, flow);
	if (held)
		let_go(l, flow, (int)(intptr_t)held - 1);
}

bool tf_owner_of(struct tf_owner_locks *l, const char *flow, struct tf_owner *out)
{
	bool alive = false;
	char *path = is_name(flow) ? path_of(l, flow) : NULL;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	*out = (struct tf_owner){.pid = -1};
	if (fd >= 0) {
		alive = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
		if (alive)
			read_owner(fd, out);
		alive = alive && !tf_owner_is_dead(out);
		close(fd);
	}
	free(path);
	return alive;
}
