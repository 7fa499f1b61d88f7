/* How many processes the kernel has killed for lack of memory in the control group that this process is in, and the slots with
 * it: memory.events of cgroup v2 (groups below included), memory.oom_control of v1. */
#ifndef TF_POOL_OOM_H
#define TF_POOL_OOM_H

#include <stdint.h>

#include "base/buf.h"

struct tf_oom;

struct tf_oom *tf_oom_new(void); /* never NULL; where nothing can be read it counts 0 */
/* The same for the groups that the file `membership` names (as /proc/self/cgroup does), below `root`. */
struct tf_oom *tf_oom_new_at(const char *membership, const char *root);
void tf_oom_delete(struct tf_oom *o); /* NULL allowed */
uint64_t tf_oom_count(const struct tf_oom *o);
/* Append "control group /x, memory limit 512.0 MB". */
void tf_oom_describe(const struct tf_oom *o, struct tf_buf *out);

#endif
