/* A control socket over a real loop, with commands that answer at once (echo, refuse), later (hold) or on and on (watch). */
#ifndef TF_TEST_CONTROL_RIG_H
#define TF_TEST_CONTROL_RIG_H

#include <stddef.h>

#include "control/control.h"
#include "loop/loop.h"
#include "temp_folder.h"

enum { CONTROL_RIG_WAIT_MS = 5000, CONTROL_RIG_HELD = 200 };

struct control_rig {
	struct temp_folder folder;
	struct tf_loop *loop;
	struct tf_timer *step;
	struct tf_control *control;
	const char *path;
	struct tf_control_call *held[CONTROL_RIG_HELD]; /* by hold and watch */
	size_t held_count;
};

extern const struct tf_command *const control_rig_commands[];

void control_rig_open(struct control_rig *r);
void control_rig_close(struct control_rig *r);
/* Let the loop do what there is to do. */
void control_rig_turn(struct control_rig *r);

/* A client; the caller closes the descriptor. */
int control_rig_dial(const char *path);
void control_rig_say(int fd, const char *text);
/* What came on `fd` until `count` lines are there or it was closed, which is told by a last line "closed". Caller frees. */
char *control_rig_hear(struct control_rig *r, int fd, size_t count);
/* It is this. */
void control_rig_expect(struct control_rig *r, int fd, size_t lines, const char *text);

#endif
