/* A lua_State as every process of the host wants it: standard libraries, the embedded Lua library, the
 * C modules of modules.h, and the paths where user scripts are found.
 *
 * Search order of `require`: package.preload (the C modules) · the library: source tree (option), else the one
 * embedded, so that no file beside a script can shadow `taskflow` · user scripts: each directory given to
 * tf_state_add_dir, newest first, then the working directory, as ?.lua and ?/init.lua · LUA_PATH as Lua sees
 * it · C modules by package.cpath, without its relative entries.
 */
#ifndef TF_SCRIPT_STATE_H
#define TF_SCRIPT_STATE_H

#include <stdbool.h>

#include "base/err.h"
#include "script/call.h"

struct lua_State;

struct tf_state_options {
	bool makes_flows; /* the collector waits longer for a heap to grow: of a flow being made, nothing is garbage */
	const char *
		lua_dir; /* source tree of the Lua library, put before the embedded one; NULL: that of the environment
			      * variable TFHOST_LUA_DIR, which a loader process inherits, or none */
};

/* `options` may be NULL. TF_ELUA with the story when a library cannot be opened. */
int tf_state_new(const struct tf_state_options *options, struct lua_State **out, struct tf_err *err);
void tf_state_delete(struct lua_State *L); /* NULL allowed */

/* Look for user modules in `dir` first. */
void tf_state_add_dir(struct lua_State *L, const char *dir);

/* Set package.path as a whole. */
void tf_state_set_path(struct lua_State *L, const char *path);

/* Push { module = path } of the user's scripts that are loaded, whichever way. */
TF_RAISES void tf_state_push_scripts(struct lua_State *L);

/* Loads what a script reference names and leaves it on the stack (PROTOCOL.md 6):
 *   "dir/file.lua"       runs the file (its directory is added, module name: base name without .lua); so does
 *                        "dir/file", for module names have no slash
 *   "module"             require
 *   "file.lua:Name", "module:Name"   the field Name of that (TF_ENOTFOUND if absent)
 * A file is registered in package.loaded under its module name, so that require gives the same table.
 * *module (unless NULL) is the module name, *name the part after the colon or NULL; caller frees both.
 * Nothing is pushed on error; errors in the script keep Lua's file:line. */
int tf_state_load(struct lua_State *L, const char *reference, char **module, char **name, struct tf_err *err);

#endif
