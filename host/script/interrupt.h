/* Ctrl-C and TERM while an engine runs: the first asks it to suspend, the second ends the process at once
 * (exit code 128 + signal), even while a task holds it in an endless loop.
 *
 * Signals belong to the process, so this is its one piece of state below cmd/: at most one engine at a time
 * watches. */
#ifndef TF_SCRIPT_INTERRUPT_H
#define TF_SCRIPT_INTERRUPT_H

#include "loop/loop.h"

/* Call `cb` on the loop after the first signal. TF_ESTATE: another engine of this process watches already. */
int tf_interrupt_watch(struct tf_loop *loop, void (*cb)(void *arg), void *arg, struct tf_err *err);
/* Restore what signals did before. */
void tf_interrupt_unwatch(void);
/* The signal that came, 0 if none. Forgotten by the next watch. */
int tf_interrupt_signal(void);

#endif
