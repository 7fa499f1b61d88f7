/* The lines of a script around a place that a message names, as people want to see them under an error. */
#ifndef TF_BASE_EXCERPT_H
#define TF_BASE_EXCERPT_H

#include <stdbool.h>

#include "base/buf.h"

/* Append an excerpt for the place that `message` names, each line ended by '\n':
 *
 *     16 |   execute = function(self, show)
 *   > 17 |     return shw.name
 *     18 |   end,
 *
 * The place is the first `PATH.lua:LINE:`, as Lua writes it, or else the last `File "PATH.lua", line LINE` of a
 * traceback. LuaJIT cuts long paths down to "...end.lua": `files` (absolute paths each ended by NUL, or NULL)
 * are those that it may mean. False, with nothing appended: no place is named, or its file cannot be read. */
bool tf_excerpt(const char *message, const struct tf_buf *files, struct tf_buf *out);

#endif
