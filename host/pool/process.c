#include "pool/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int tf_process_detach(pid_t parent)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &action, NULL); /* fails for SIGKILL, SIGSTOP and those of the C library */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == parent ? 0 : -1;
}

void tf_process_close_stdin(void)
{
	int fd = open("/dev/null", O_RDWR);
	if (fd > 0) {
		dup2(fd, 0);
		close(fd);
	}
}

void tf_process_close_exec(int keep)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return;
	struct dirent *e;
	while ((e = readdir(dir))) {
		int fd = atoi(e->d_name); /* 0 for "." and ".." */
		struct stat st;
		if (fd > 2 && fd != keep && fd != dirfd(dir) && (fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
			fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode))
			close(fd);
	}
	closedir(dir);
}

pid_t tf_process_fork_sibling(void)
{
	fflush(NULL);
	/* The C library keeps the thread's id where the kernel was told to clear it: the child's must go there. */
	int *tid = NULL;
	unsigned long flags = CLONE_PARENT | SIGCHLD;
	if (prctl(PR_GET_TID_ADDRESS, &tid) == 0 && tid)
		flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#ifdef __s390__
#error "the clone system call takes its arguments in another order here"
#endif
		/* Without a new stack: the child goes on as after fork. tls is unused, so its place does not matter. */
#if defined(__x86_64__)
	return (pid_t)syscall(SYS_clone, flags, NULL, NULL, tid, NULL);
#else
	return (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, tid);
#endif
}

void tf_process_describe_end(int status, struct tf_buf *out)
{
	if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		tf_buf_printf(out, "was killed by signal %d (%s%s)", WTERMSIG(status), name ? "SIG" : "",
			name ? name : "unknown");
		if (WCOREDUMP(status))
			tf_buf_puts(out, ", core dumped,");
	} else {
		tf_buf_printf(out, "exited with code %d", WEXITSTATUS(status));
	}
}

void tf_process_describe_limit(pid_t pid, struct tf_buf *out)
{
	struct rlimit space, data;
	if (prlimit(pid, RLIMIT_AS, NULL, &space) < 0 || prlimit(pid, RLIMIT_DATA, NULL, &data) < 0)
		return;
	rlim_t least = data.rlim_cur < space.rlim_cur ? data.rlim_cur : space.rlim_cur;
	if (least != RLIM_INFINITY)
		tf_buf_printf(out, " of %.1f MB", (double)least / 1048576);
}
