#include "vectors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FOLDER "spec/fixtures/vectors"

struct json_object *tf_vector_read(const char *file)
{
	char *path = tf_asprintf("%s/%s", FOLDER, file);
	struct json_object *o = json_object_from_file(path);
	if (!o) {
		fprintf(stderr, "cannot read %s: %s\n", path, json_util_get_last_err());
		abort();
	}
	free(path);
	return o;
}

const char *tf_vector_text(struct json_object *vector, const char *name)
{
	struct json_object *v;
	return json_object_object_get_ex(vector, name, &v) ? json_object_get_string(v) : NULL;
}

static int is_message(const struct dirent *e)
{
	return !strncmp(e->d_name, "amqp-", 5) || !strncmp(e->d_name, "filesystem-", 11);
}

int tf_vectors_each(void (*visit)(const char *file, struct json_object *vector, void *arg), void *arg)
{
	struct dirent **names;
	int n = scandir(FOLDER, &names, is_message, alphasort), messages = 0;
	for (int i = 0; i < n; i++) {
		struct json_object *v = tf_vector_read(names[i]->d_name);
		if (tf_vector_text(v, "body_text")) {
			visit(names[i]->d_name, v, arg);
			messages++;
		}
		json_object_put(v);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return messages;
}
