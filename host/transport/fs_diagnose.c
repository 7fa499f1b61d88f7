/* A directory as the filesystem transport would meet it: what the kernel does there is tried with files of our own, which no
 * peer takes for messages (their names have no ".msg") and which are removed again. */
#include "transport/fs_diagnose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "transport/fs_leftovers.h"
#include "transport/fs_options.h"

enum {
	DIAGNOSE_EVENT_MS = 1000,
	DIAGNOSE_SKEW_MS = 2000,
	DIAGNOSE_FEW_INODES = 1000,
	DIAGNOSE_OLD_S = 86400,
};
static const uint64_t LITTLE_SPACE = 16 << 20, SOME_SPACE = 256 << 20;

struct place {
	const struct tf_diagnosis *d;
	const char *option, *path;
	int fd;         /* of the folder */
	char name[64];  /* of our folder in it */
	char moved[80]; /* of our file, once it is in `path` */
	int own;        /* our folder */
	int events;     /* inotify; -1: none */
};

/* ---- the folder itself ---- */

/* It does not exist: can it be made? */
static void look_at_parent(const struct place *p)
{
	char *parent = tf_strdup(p->path), *slash;
	while ((slash = strrchr(parent, '/')) && slash > parent) {
		*slash = '\0';
		if (access(parent, F_OK) == 0)
			break;
	}
	if (access(*parent && slash > parent ? parent : "/", W_OK | X_OK) == 0)
		tf_found(p->d, TF_FINDING_OK, "folder", NULL, "%s: %s does not exist yet, and will be made",
			p->option, p->path);
	else
		tf_found(p->d, TF_FINDING_PROBLEM, "folder",
			"make it for this user, or name another (--transport-option)",
			"%s: %s does not exist, and cannot be made in %s: %s", p->option, p->path, parent,
			strerror(errno));
	free(parent);
}

static bool look_at_folder(struct place *p)
{
	struct stat st;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0 && errno == ENOENT) {
		look_at_parent(p);
		return false;
	}
	if (p->fd < 0 || fstat(p->fd, &st) < 0) {
		tf_found(p->d, TF_FINDING_PROBLEM, "folder",
			errno == EACCES ? "chown or chmod it for this user, and its parents"
					: "it must be a directory: remove what is there, or name another",
			"%s: %s: %s", p->option, p->path, strerror(errno));
		return false;
	}
	if (faccessat(p->fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
		tf_found(p->d, TF_FINDING_PROBLEM, "permissions",
			"all peers need to list, create and rename there: a common group, mode 2770",
			"%s: %s (owner %u, mode %04o) is not for user %u: %s", p->option, p->path,
			(unsigned)st.st_uid, (unsigned)st.st_mode & 07777, (unsigned)geteuid(),
			strerror(errno));
		return false;
	}
	if ((st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
		tf_found(p->d, TF_FINDING_WARNING, "permissions", "a common group of the peers, mode 2770",
			"%s: everybody on this machine may write to %s, and so have tasks run", p->option,
			p->path);
	return true;
}

static void look_at_kind(const struct place *p)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} network[] = {{0x6969, "NFS"}, {0xff534d42, "CIFS"}, {0xfe534d42, "SMB"}, {0x65735546, "FUSE"},
		{0x00c36400, "Ceph"}, {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x01021997, "9P"}};
	struct statfs fs;
	if (fstatfs(p->fd, &fs) < 0)
		return;
	for (size_t i = 0; i < sizeof(network) / sizeof(network[0]); i++) {
		if ((unsigned long)fs.f_type == network[i].magic)
			tf_found(p->d, TF_FINDING_WARNING, "file system",
				"a small polling_interval; a local disk, or RabbitMQ, if it matters",
				"%s: %s is on %s: the kernel does not tell of files that other machines put "
				"there",
				p->option, p->path, network[i].name);
	}
}

static void look_at_space(const struct place *p)
{
	struct statvfs fs;
	if (fstatvfs(p->fd, &fs) < 0)
		return;
	uint64_t bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool no_inodes = fs.f_files > 0 && fs.f_favail < DIAGNOSE_FEW_INODES;
	if (fs.f_flag & ST_RDONLY)
		tf_found(p->d, TF_FINDING_PROBLEM, "file system", "mount -o remount,rw, if it can be trusted",
			"%s: %s is on a file system that is mounted read-only", p->option, p->path);
	tf_found(p->d,
		bytes < LITTLE_SPACE || no_inodes ? TF_FINDING_PROBLEM
		: bytes < SOME_SPACE              ? TF_FINDING_WARNING
						  : TF_FINDING_OK,
		"space", bytes < SOME_SPACE || no_inodes ? "free some: each message is a file" : NULL,
		"%s: %llu MB are free at %s, for %llu files", p->option, (unsigned long long)bytes >> 20,
		p->path, (unsigned long long)fs.f_favail);
}

/* ---- what the kernel does there ---- */

static bool fails(const struct place *p, const char *check, const char *doing)
{
	tf_found(p->d, TF_FINDING_PROBLEM, check,
		errno == ENOSPC  ? "free some space"
		: errno == EROFS ? "mount it for writing"
				 : "the transport needs to create, rename and lock files there",
		"%s: %s in %s: %s", p->option, doing, p->path, strerror(errno));
	return false;
}

static void watch(struct place *p)
{
	p->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->events >= 0 && inotify_add_watch(p->events, p->path, IN_MOVED_TO | IN_CLOSE_WRITE) >= 0)
		return;
	tf_found(p->d, TF_FINDING_WARNING, "inotify",
		errno == EMFILE   ? "sysctl fs.inotify.max_user_instances=512"
		: errno == ENOSPC ? "sysctl fs.inotify.max_user_watches=65536"
				  : "a small polling_interval",
		"%s: the kernel will not tell of new files in %s, they are found by polling: %s", p->option,
		p->path, strerror(errno));
	if (p->events >= 0)
		close(p->events);
	p->events = -1;
}

static bool is_told_of(const struct place *p)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd wait = {.fd = p->events, .events = POLLIN};
	while (poll(&wait, 1, DIAGNOSE_EVENT_MS) > 0) {
		ssize_t n = read(p->events, bytes, sizeof(bytes));
		for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
			const struct inotify_event *e =
				(const struct inotify_event *)(const void *)(bytes + at);
			if (e->len && !strcmp(e->name, p->moved))
				return true;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	return false;
}

/* A message is published so: written aside, renamed into the folder. */
static bool try_rename(struct place *p, int file)
{
	struct stat before, after;
	if (fstat(file, &before) < 0 || renameat(p->own, "file", p->fd, p->moved) < 0)
		return fails(p, "rename", "renaming a file");
	bool kept = fstatat(p->fd, p->moved, &after, AT_SYMLINK_NOFOLLOW) == 0 &&
		    after.st_ino == before.st_ino && faccessat(p->own, "file", F_OK, 0) < 0;
	if (!kept)
		tf_found(p->d, TF_FINDING_PROBLEM, "rename", "a local disk",
			"%s: a file renamed in %s is not the same one at its new place, and gone from the "
			"old one",
			p->option, p->path);
	else
		tf_found(p->d, TF_FINDING_OK, "rename", NULL,
			"%s: files can be made in %s, and renamed in one step", p->option, p->path);
	if (kept && p->events >= 0 && is_told_of(p))
		tf_found(p->d, TF_FINDING_OK, "inotify", NULL, "%s: the kernel tells of new files in %s",
			p->option, p->path);
	else if (kept && p->events >= 0)
		tf_found(p->d, TF_FINDING_WARNING, "inotify", "a small polling_interval",
			"%s: the kernel did not tell of a new file in %s: messages are found by polling",
			p->option, p->path);
	return kept;
}

/* Claims are known to be a living process's by its lock. */
static void try_lock(const struct place *p, int file)
{
	int second = openat(p->fd, p->moved, O_RDWR | O_CLOEXEC);
	if (second < 0 || flock(file, LOCK_EX | LOCK_NB) < 0)
		fails(p, "lock", "locking a file (flock)");
	else if (flock(second, LOCK_EX | LOCK_NB) == 0)
		tf_found(p->d, TF_FINDING_PROBLEM, "lock", "a local disk, or a mount with working locks",
			"%s: two can lock one file in %s at once: living processes would lose their messages",
			p->option, p->path);
	else
		tf_found(p->d, TF_FINDING_OK, "lock", NULL, "%s: locks in %s keep others out", p->option,
			p->path);
	if (second >= 0)
		close(second);
}

static int64_t ms(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

/* Names of messages have the sender's time, files the disk's. */
static void look_at_clock(const struct place *p, int file, const struct timespec *before)
{
	struct stat st;
	struct timespec after;
	clock_gettime(CLOCK_REALTIME, &after);
	if (fstat(file, &st) < 0)
		return;
	int64_t early = ms(before) - ms(&st.st_mtim), late = ms(&st.st_mtim) - ms(&after);
	int64_t off = early > late ? early : late;
	if (off > DIAGNOSE_SKEW_MS)
		tf_found(p->d, TF_FINDING_WARNING, "clock", "chrony or systemd-timesyncd on both machines",
			"%s: the clock of the disk of %s differs by %.1f s from this machine's: messages "
			"keep their "
			"order by it",
			p->option, p->path, (double)off / 1000);
}

static void try_files(struct place *p)
{
	struct timespec before;
	char uuid[TF_UUID_LEN + 1];
	tf_uuid(uuid);
	snprintf(p->name, sizeof(p->name), TF_FS_DOCTOR "%s", uuid);
	snprintf(p->moved, sizeof(p->moved), "%s-file", p->name);
	if (mkdirat(p->fd, p->name, 0700) < 0) {
		fails(p, "permissions", "making a folder");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &before);
	p->own = openat(p->fd, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int file = openat(p->own, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0 || write(file, "tfhost doctor\n", 14) != 14)
		fails(p, "permissions", "writing a file");
	else if (try_rename(p, file)) {
		look_at_clock(p, file, &before);
		try_lock(p, file);
	}
	if (file >= 0)
		close(file);
	unlinkat(p->fd, p->moved, 0);
	if (p->own >= 0) {
		unlinkat(p->own, "file", 0);
		close(p->own);
	}
	unlinkat(p->fd, p->name, AT_REMOVEDIR);
}

/* ---- what is left there ---- */

static void look_at_leftovers(const struct place *p)
{
	struct tf_fs_leftovers l;
	tf_fs_leftovers_count(p->fd, &l);
	if (l.dead_claims || l.dead_parts)
		tf_found(p->d, TF_FINDING_WARNING, "leftovers",
			"start a peer: it puts them back within a minute",
			"%s: %llu messages in %s belong to processes that died, and %llu were being written",
			p->option, (unsigned long long)l.dead_claims, p->path,
			(unsigned long long)l.dead_parts);
	if (l.set_aside)
		tf_found(p->d, TF_FINDING_WARNING, "leftovers",
			"see who writes such files there, then remove them",
			"%s: %llu files that are no messages were set aside in %s/.tfhost-quarantine",
			p->option, (unsigned long long)l.set_aside, p->path);
	if (l.of_doctors)
		tf_found(p->d, TF_FINDING_WARNING, "leftovers", "remove them, when no tfhost doctor runs",
			"%s: %llu files " TF_FS_DOCTOR "* in %s are those of a doctor that was killed",
			p->option, (unsigned long long)l.of_doctors, p->path);
	bool old = l.messages && time(NULL) - l.oldest > DIAGNOSE_OLD_S;
	tf_found(p->d, old ? TF_FINDING_WARNING : TF_FINDING_OK, "messages",
		old ? "is a worker running for that topic? Files of flows that are gone can be removed"
		    : NULL,
		"%s: %llu messages wait in %s%s, %llu are with %llu processes", p->option,
		(unsigned long long)l.messages, p->path, old ? ", the oldest for more than a day" : "",
		(unsigned long long)l.claims, (unsigned long long)l.owners);
}

/* False: it cannot be used, or is not there yet. */
static bool look_at(
	const struct tf_diagnosis *d, const char *option, const char *path, bool watched, dev_t *disk)
{
	struct place p = {.d = d, .option = option, .path = path, .fd = -1, .own = -1, .events = -1};
	struct stat st;
	bool usable = look_at_folder(&p);
	if (usable) {
		look_at_kind(&p);
		look_at_space(&p);
		if (watched)
			watch(&p);
		try_files(&p);
		look_at_leftovers(&p);
		usable = fstat(p.fd, &st) == 0;
		*disk = usable ? st.st_dev : 0;
	}
	if (p.events >= 0)
		close(p.events);
	if (p.fd >= 0)
		close(p.fd);
	return usable;
}

void tf_fs_diagnose(const struct tf_transport_config *config, const struct tf_url_list *urls,
	const char *const *topics, const struct tf_diagnosis *d)
{
	struct tf_fs_options o;
	struct tf_err err;
	dev_t in_disk = 0, disk = 0;
	(void)topics;
	int rc = tf_fs_options_read(&o, config, urls, &err);
	if (rc < 0)
		tf_found(d, TF_FINDING_PROBLEM, "transport", NULL, "%s", err.message);
	bool in = rc == 0 && look_at(d, "data_folder_in", o.in_path, o.watch_wanted, &in_disk);
	if (rc == 0 && strcmp(o.in_path, o.out_path) != 0)
		look_at(d, "data_folder_out", o.out_path, false, &disk);
	if (rc == 0 && o.store_processed && look_at(d, "processed_folder", o.processed_path, false, &disk) &&
		in && disk != in_disk)
		tf_found(d, TF_FINDING_WARNING, "file system", "a processed_folder on the same disk",
			"processed_folder: %s is on another disk than data_folder_in: each message is copied",
			o.processed_path);
	tf_fs_options_free(&o);
}
