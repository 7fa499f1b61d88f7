#include "script/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define INTERRUPT_SIGNALS(X) X(SIGINT) X(SIGTERM)

static struct tf_post *interrupt_post; /* NULL: nobody watches */
static volatile sig_atomic_t interrupt_signo;

enum {
#define X(signal) INTERRUPT_##signal,
	INTERRUPT_SIGNALS(X)
#undef X
		INTERRUPT_COUNT
};
static struct sigaction interrupt_before[INTERRUPT_COUNT];
static const int interrupt_numbers[INTERRUPT_COUNT] = {
#define X(signal) signal,
	INTERRUPT_SIGNALS(X)
#undef X
};

static void interrupt_handler(int signo)
{
	if (interrupt_signo)
		_exit(128 + signo);
	interrupt_signo = signo;
	tf_post_wake(interrupt_post); /* async-signal-safe */
}

int tf_interrupt_watch(struct tf_loop *loop, void (*cb)(void *arg), void *arg, struct tf_err *err)
{
	if (interrupt_post)
		return tf_err_set(err, TF_ESTATE, "another engine of this process already watches signals");
	interrupt_post = tf_post_new(loop, cb, arg);
	interrupt_signo = 0;
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = interrupt_handler;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	for (int i = 0; i < INTERRUPT_COUNT; i++)
		sigaction(interrupt_numbers[i], &action, &interrupt_before[i]);
	return 0;
}

void tf_interrupt_unwatch(void)
{
	if (!interrupt_post)
		return;
	for (int i = 0; i < INTERRUPT_COUNT; i++)
		sigaction(interrupt_numbers[i], &interrupt_before[i], NULL);
	tf_post_delete(interrupt_post);
	interrupt_post = NULL;
}

int tf_interrupt_signal(void)
{
	return interrupt_signo;
}
