/* What another process of ours uses. */
#ifndef TF_POOL_USAGE_H
#define TF_POOL_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds of processor time since it began, at least 1; 0: it is gone. A system call. */
uint64_t tf_usage_cpu_ns(pid_t pid);
/* Bytes in memory of its own; 0: it is gone. Reads a file of /proc. */
uint64_t tf_usage_memory(pid_t pid);

#endif
