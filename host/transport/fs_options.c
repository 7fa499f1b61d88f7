#include "transport/fs_options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "transport/fs_folder.h"
#include "transport/options.h"

static void make_absolute(char **path)
{
	char *absolute = tf_fs_folder_absolute(*path);

	free(*path);
	*path = absolute;
}

/* A message that is kept in the folder it came from would come again for ever. */
static int check_processed(const struct tf_fs_options *o, struct tf_err *err)
{
	struct stat in, processed;

	if (!o->store_processed)
		return 0;
	if (strcmp(o->in_path, o->processed_path) == 0 ||
		(stat(o->in_path, &in) == 0 && stat(o->processed_path, &processed) == 0 &&
			in.st_dev == processed.st_dev && in.st_ino == processed.st_ino))
		return tf_err_set(err, TF_EINVAL,
			"transport_options of filesystem: processed_folder %s is data_folder_in itself: name "
			"another",
			o->processed_path);
	return 0;
}

int tf_fs_options_read(struct tf_fs_options *o, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_err *err)
{
	const struct tf_option options[] = {
		{"data_folder_in", TF_OPTION_STRING, &o->in_path},
		{"data_folder_out", TF_OPTION_STRING, &o->out_path},
		{"processed_folder", TF_OPTION_STRING, &o->processed_path},
		{"store_processed", TF_OPTION_BOOL, &o->store_processed},
		{"polling_interval", TF_OPTION_SECONDS, &o->polling_interval},
		{"control_folder", TF_OPTION_STRING, &o->control_path},
		{"register", TF_OPTION_BOOL, &o->register_wanted},
		{"fsync", TF_OPTION_BOOL, &o->sync},
		{"watch", TF_OPTION_BOOL, &o->watch_wanted},
		{0},
	};
	const char *path = urls->urls[0].path;
	int rc;

	/* kombu ignores what follows "filesystem://"; only a folder that is plainly meant counts. */
	if (!path || path[0] != '/' || strspn(path, "/") == strlen(path))
		path = NULL;
	*o = (struct tf_fs_options){.watch_wanted = true, .polling_interval = 1};
	o->in_path = tf_strdup(path ? path : "data_in");
	o->out_path = tf_strdup(path ? path : "data_out");
	o->processed_path = tf_strdup("processed");
	o->control_path = tf_strdup("control");
	rc = tf_options_read("filesystem", config->options, options, err);
	make_absolute(&o->in_path);
	make_absolute(&o->out_path);
	make_absolute(&o->processed_path);
	make_absolute(&o->control_path);
	if (rc == 0)
		rc = check_processed(o, err);
	if (rc == 0 && strpbrk(config->exchange, "./"))
		rc = tf_err_set(err, TF_EINVAL,
			"exchange \"%s\": the filesystem transport allows no dot and no slash in it",
			config->exchange);
	return rc;
}

void tf_fs_options_free(struct tf_fs_options *o)
{
	free(o->in_path);
	free(o->out_path);
	free(o->processed_path);
	free(o->control_path);
	*o = (struct tf_fs_options){0};
}
