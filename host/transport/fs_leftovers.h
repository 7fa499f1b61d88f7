/* What is in a data folder of the filesystem transport, counted; nothing is changed. */
#ifndef TF_TRANSPORT_FS_LEFTOVERS_H
#define TF_TRANSPORT_FS_LEFTOVERS_H

#include <stdint.h>
#include <time.h>

#define TF_FS_DOCTOR ".tfhost-doctor-" /* how files of `tfhost doctor` begin */

struct tf_fs_leftovers {
	uint64_t messages;                /* that wait */
	time_t oldest;                    /* when its file was written; 0: there is none */
	uint64_t claims, owners;          /* messages that living processes have; how many those are */
	uint64_t dead_claims, dead_parts; /* messages and unfinished files of processes that died */
	uint64_t set_aside;               /* files that are no messages */
	uint64_t of_doctors;
};

/* `folder` is its descriptor. */
void tf_fs_leftovers_count(int folder, struct tf_fs_leftovers *out);

#endif
