/* A command whose work is done by a module of lua/tfhost: C parses its command line, Lua has the rest. */
#ifndef TF_CMD_LUA_COMMAND_H
#define TF_CMD_LUA_COMMAND_H

#include <argp.h>

#include "base/value.h"

/* Call MODULE.main(options), in a state of its own; returns the exit code that it returns, or TF_EXIT_ERROR after an error
 * was told on stderr under the name `program`. `sources`: a descriptor, closed here, to which the paths of the files
 * that were read are written, each ended by NUL; -1: nobody asks. */
int tf_lua_command(const char *program, const char *module, const struct tf_value *options, int sources);

/* A child parser without an input: --lua-dir. What it says holds for the process and those that it starts. */
extern const struct argp tf_lua_dir_argp;

#endif
