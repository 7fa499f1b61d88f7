#include "temp_folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"

void temp_folder_make(struct temp_folder *f)
{
	const char *base = getenv("TMPDIR");

	snprintf(
		f->path, sizeof(f->path), "%s/tfhost-test-XXXXXX", base && strlen(base) < 30 ? base : "/tmp");
	assert_non_null(mkdtemp(f->path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void temp_folder_remove(struct temp_folder *f)
{
	nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *temp_folder_path(const struct temp_folder *f, const char *name)
{
	static char paths[4][512];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(*paths), "%s%s%s", f->path, *name ? "/" : "", name);
	return path;
}

void temp_folder_write(const struct temp_folder *f, const char *name, const char *text)
{
	FILE *file = fopen(temp_folder_path(f, name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

char *temp_folder_read(const struct temp_folder *f, const char *name)
{
	FILE *file = fopen(temp_folder_path(f, name), "r");
	size_t cap = 1 << 16, n;
	char *text = tf_malloc(cap + 1);

	assert_non_null(file);
	n = fread(text, 1, cap, file);
	assert_true(n < cap);
	text[n] = '\0';
	fclose(file);
	return text;
}

bool temp_folder_has(const struct temp_folder *f, const char *name)
{
	struct stat st;

	return lstat(temp_folder_path(f, name), &st) == 0;
}

static size_t scan(const struct temp_folder *f, const char *name, const char *suffix, char **last)
{
	DIR *dir = opendir(temp_folder_path(f, name));
	struct dirent *d;
	size_t count = 0, len = strlen(suffix);

	if (!dir) {
		assert_int_equal(errno, ENOENT);
		return 0;
	}
	while ((d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || n < len ||
			strcmp(d->d_name + n - len, suffix) != 0)
			continue;
		count++;
		if (last) {
			free(*last);
			*last = tf_strdup(d->d_name);
		}
	}
	closedir(dir);
	return count;
}

size_t temp_folder_count(const struct temp_folder *f, const char *name, const char *suffix)
{
	return scan(f, name, suffix, NULL);
}

char *temp_folder_only(const struct temp_folder *f, const char *name, const char *suffix)
{
	char *only = NULL;

	assert_int_equal(scan(f, name, suffix, &only), 1);
	return only;
}
