/* The Lua library compiled into the binary (written by embed.lua at build time). */
#ifndef TF_SCRIPT_EMBED_H
#define TF_SCRIPT_EMBED_H

#include <stddef.h>

struct tf_embed {
	const char *name;          /* "taskflow.task" */
	const unsigned char *code; /* LuaJIT bytecode, with debug information */
	size_t len;
};
extern const struct tf_embed tf_embed_modules[]; /* ends with a NULL name */

#endif
