/* What the processes of a pool do to themselves right after they began, and how their end is told. */
#ifndef TF_POOL_PROCESS_H
#define TF_POOL_PROCESS_H

#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Leave nothing of the parent's behaviour: every signal to its default but SIGPIPE, which is ignored so that
 * scripts see EPIPE; none blocked; a process group of its own, so that Ctrl-C on a terminal reaches the
 * supervisor alone and a kill can reach what a task started. Die with `parent`: negative if it is gone already. */
int tf_process_detach(pid_t parent);
/* Standard input from /dev/null: processes that share a terminal must not take each other's lines. */
void tf_process_close_stdin(void);
/* Close what an exec would close (descriptors marked close-on-exec) but `keep`. What a script opened stays,
 * and so do pipes: the event loop's library has one that it needs in every process. */
void tf_process_close_exec(int keep);
/* Fork, but the child's parent is the caller's parent. 0 in the child, -1 with errno. The caller must
 * have one thread only; flushes stdio first, so that nothing is written twice. */
pid_t tf_process_fork_sibling(void);

/* Append "was killed by signal 9 (SIGKILL)" or "exited with code 3". */
void tf_process_describe_end(int status, struct tf_buf *out);
/* Append " of 512.0 MB", the limit of its address space or data (ulimit -v, -d); nothing if it has none. */
void tf_process_describe_limit(pid_t pid, struct tf_buf *out);

#endif
