#include "pool/oom.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define OOM_WORD "oom_kill "
enum { OOM_TEXT = 1024 }; /* bytes of what such files say; they say little */

struct tf_oom {
	int fd;      /* of the file with the count; -1: none */
	char *group; /* owned; its name */
	char *limit; /* owned; path of the file with the group's limit */
};

/* The file's number; false: it cannot be read, or has none. */
static bool oom_read(int fd, uint64_t *out)
{
	char text[OOM_TEXT];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, OOM_WORD)); at++) {
		if (at == text || at[-1] == '\n')
			return sscanf(at + strlen(OOM_WORD), "%" SCNu64, out) == 1;
	}
	return false;
}

static bool oom_try(
	struct tf_oom *o, const char *root, const char *group, const char *count, const char *limit)
{
	uint64_t n;
	char *path = tf_asprintf("%s%s/%s", root, group, count);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	if (!oom_read(fd, &n)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	o->fd = fd;
	o->group = tf_strdup(group[0] ? group : "/");
	o->limit = tf_asprintf("%s%s/%s", root, group, limit);
	return true;
}

/* A line of the membership: "0::/group" of v2, "4:memory:/group" of v1. In a container the group may be named as it is outside,
 * while its files are at the root. */
static bool oom_take_line(struct tf_oom *o, const char *root, char *line)
{
	char *kinds = strchr(line, ':');
	char *group = kinds ? strchr(kinds + 1, ':') : NULL;
	if (!group)
		return false;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (!strcmp(group, "/"))
		group[0] = '\0';
	const char *names[] = {group, ""};
	bool found = false;
	for (size_t i = 0; i < 2 && !found; i++) {
		if (!kinds[1])
			found = oom_try(o, root, names[i], "memory.events", "memory.max");
		else if (!strcmp(kinds + 1, "memory")) {
			char *mount = tf_asprintf("%s/memory", root);
			found = oom_try(o, mount, names[i], "memory.oom_control", "memory.limit_in_bytes");
			free(mount);
		}
	}
	return found;
}

struct tf_oom *tf_oom_new_at(const char *membership, const char *root)
{
	struct tf_oom *o = TF_NEW(struct tf_oom);
	o->fd = -1;
	FILE *f = fopen(membership, "re");
	char *line = NULL;
	size_t cap = 0;
	while (f && o->fd < 0 && getline(&line, &cap, f) > 0)
		oom_take_line(o, root, line);
	free(line);
	if (f)
		fclose(f);
	return o;
}

struct tf_oom *tf_oom_new(void)
{
	return tf_oom_new_at("/proc/self/cgroup", "/sys/fs/cgroup");
}

void tf_oom_delete(struct tf_oom *o)
{
	if (!o)
		return;
	if (o->fd >= 0)
		close(o->fd);
	free(o->group);
	free(o->limit);
	free(o);
}

uint64_t tf_oom_count(const struct tf_oom *o)
{
	uint64_t n;
	return oom_read(o->fd, &n) ? n : 0;
}

void tf_oom_describe(const struct tf_oom *o, struct tf_buf *out)
{
	uint64_t limit;
	FILE *f = o->limit ? fopen(o->limit, "re") : NULL;
	bool has = f && fscanf(f, "%" SCNu64, &limit) == 1 &&
		   limit < INT64_MAX / 2; /* "max" of v2; v1 says 2^63 */
	if (f)
		fclose(f);
	tf_buf_printf(out, "control group %s, ", o->group ? o->group : "?");
	if (has)
		tf_buf_printf(out, "memory limit %.1f MB", (double)limit / 1048576);
	else
		tf_buf_puts(out, "no memory limit of its own");
}
