/* The control socket of a process: local, for its owner alone (and root), JSON lines. It is served by the loop, so it answers
 * whatever the tasks do.
 *
 *   -> {"command": "reload", "check": true}
 *   <- {"ok": true, "result": {...}}      or      {"ok": false, "error": "tasks.lua:3: ..."}
 *
 * One answer a line asked, in any order of their ends; before it may come any number of {"ok": true, "event": {...}}, of a
 * command that tells what happens. Who hangs up is told nothing more. A command is one `struct tf_command` in a file of its own, listed once
 * by whoever serves it; `help` lists them. The sockets are KIND-PID.sock in tf_control_directory.
 */
#ifndef TF_CONTROL_CONTROL_H
#define TF_CONTROL_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "loop/loop.h"

struct tf_control;
struct tf_control_call; /* one line that waits for its answer */

struct tf_command {
	const char *name;
	const char *help; /* a line for people */
	/* `request` is the object asked, borrowed until the return; `subject` is tf_control_new's. Answer by one of the
	 * functions below, once, now or later. */
	void (*run)(void *subject, struct tf_json request, struct tf_control_call *call);
};

/* JSON text of the result; "null" if NULL. */
void tf_control_answer(struct tf_control_call *call, const char *json);
void tf_control_refuse(struct tf_control_call *call, const struct tf_err *err);

/* Send an event, and go on. False: it was not sent, the other side has TF_CONTROL_UNREAD bytes to read as it is. */
bool tf_control_tell(struct tf_control_call *call, const char *json, size_t len);
/* The call goes on until the other side hangs up: then `gone` is called, which answers it as the last thing done with it. */
void tf_control_go_on(struct tf_control_call *call, void (*gone)(void *arg), void *arg);

/* Listen at `path` (NULL: KIND-PID.sock in the usual directory). `commands` ends with an entry without name; it and `kind`
 * must outlive the control. Connections beyond TF_CONTROL_CLIENTS are closed, as are those that ask too long a line or do not read. */
int tf_control_new(struct tf_loop *loop, const char *kind, const char *path,
	const struct tf_command *const *commands, void *subject, struct tf_control **out, struct tf_err *err);
const char *tf_control_path(const struct tf_control *c);
/* Sends what goes at once, and removes the socket. Calls that wait may still be answered afterwards; nobody hears it. */
void tf_control_delete(struct tf_control *c); /* NULL allowed */

enum { TF_CONTROL_CLIENTS = 64, TF_CONTROL_MAX_LINE = 1 << 16, TF_CONTROL_UNREAD = 1 << 20 };

/* TFHOST_CONTROL_DIR; $XDG_RUNTIME_DIR/tfhost; /tmp/tfhost-UID. With `make` it is made, for its owner alone. TF_EAUTH: it is
 * somebody else's, or open to others. Caller frees *out. */
int tf_control_directory(bool make, char **out, struct tf_err *err);

#endif
