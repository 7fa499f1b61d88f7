/* A folder for one test, and plain handling of the files in it. Every function fails the test on
 * error. Paths are below the folder, "" is the folder itself. */
#ifndef TF_TEST_TEMP_FOLDER_H
#define TF_TEST_TEMP_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

struct temp_folder {
	char path[64];
};

void temp_folder_make(struct temp_folder *f);
void temp_folder_remove(struct temp_folder *f); /* with all that is in it */
/* Static buffer, valid until the fourth call from now. */
const char *temp_folder_path(const struct temp_folder *f, const char *name);
void temp_folder_write(const struct temp_folder *f, const char *name, const char *text);
char *temp_folder_read(const struct temp_folder *f, const char *name); /* caller frees */
bool temp_folder_has(const struct temp_folder *f, const char *name);
/* Names in the sub-folder `name` that end in `suffix` ("": all), hidden ones included. */
size_t temp_folder_count(const struct temp_folder *f, const char *name, const char *suffix);
/* The only name that ends so; caller frees. */
char *temp_folder_only(const struct temp_folder *f, const char *name, const char *suffix);

#endif
