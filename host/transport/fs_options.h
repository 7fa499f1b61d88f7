/* The transport_options of the filesystem transport; filesystem.h lists them. */
#ifndef TF_TRANSPORT_FS_OPTIONS_H
#define TF_TRANSPORT_FS_OPTIONS_H

#include <stdbool.h>

#include "transport/transport.h"

struct tf_fs_options {
	char *in_path, *out_path, *processed_path, *control_path; /* owned, absolute */
	bool store_processed, watch_wanted, register_wanted, sync;
	double polling_interval; /* seconds */
};

/* TF_EINVAL names what is wrong, the exchange's name included. To be freed in any case. */
int tf_fs_options_read(struct tf_fs_options *o, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_err *err);
void tf_fs_options_free(struct tf_fs_options *o);

#endif
