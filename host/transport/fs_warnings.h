/* Warnings about what is in one data folder, a few a second: somebody else's thousand broken files must not
 * fill the log. What is left out is counted, and told later. */
#ifndef TF_TRANSPORT_FS_WARNINGS_H
#define TF_TRANSPORT_FS_WARNINGS_H

#include <stdint.h>

struct tf_fs_warnings {
	uint64_t since; /* ms: the second that is counted began */
	unsigned said, unsaid;
};

/* `path` is the folder's. Texts are cut after 1200 bytes. */
__attribute__((format(printf, 3, 4))) void tf_fs_warnings_add(
	struct tf_fs_warnings *w, const char *path, const char *fmt, ...);

#endif
