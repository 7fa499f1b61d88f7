/* `diagnose` of the filesystem transport. */
#ifndef TF_TRANSPORT_FS_DIAGNOSE_H
#define TF_TRANSPORT_FS_DIAGNOSE_H

#include "transport/diagnosis.h"

void tf_fs_diagnose(const struct tf_transport_config *config, const struct tf_url_list *urls,
	const char *const *topics, const struct tf_diagnosis *d);

#endif
