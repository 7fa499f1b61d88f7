/* Run something again whenever the scripts that it read change, and show what came out differently: `tfhost run --watch`, `tfhost dev`. */
#ifndef TF_CMD_RERUN_H
#define TF_CMD_RERUN_H

#include <stdbool.h>

/* Each run is a process of its own: `run` is called in it, its standard output is taken, its return value becomes the exit
 * code. It must write to descriptor `sources` the paths of the files that it read, each ended by NUL, however it ends. A change while it runs
 * ends it by TERM, then by KILL. `live`: output is not taken and compared, but left where it goes. Returns 128 + n after signal n (INT, TERM), 1 if nothing can be watched. */
int tf_rerun(int (*run)(void *arg, int sources), void *arg, const char *program, bool live);

#endif
