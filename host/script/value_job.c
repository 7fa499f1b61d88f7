#include "script/value_job.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <lua.h>

enum { VALUE_PATH_MAX = 300 }; /* bytes of a path in an error story */

static bool value_is_name(const char *s, size_t n)
{
	if (n == 0 || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	}
	return true;
}

static void value_path(const struct tf_value_place *at, struct tf_buf *out)
{
	if (at->up)
		value_path(at->up, out);
	else
		return;
	if (!at->key)
		tf_buf_printf(out, "[%zu]", at->index);
	else if (value_is_name(at->key, at->key_len))
		tf_buf_printf(out, ".%.*s", (int)at->key_len, at->key);
	else {
		size_t n = at->key_len < 40 ? at->key_len : 40;
		tf_buf_puts(out, "[\"");
		for (size_t i = 0; i < n; i++)
			tf_buf_putc(out, isprint((unsigned char)at->key[i]) ? at->key[i] : '?');
		tf_buf_puts(out, n < at->key_len ? "...\"]" : "\"]");
	}
}

void tf_value_job_refuse(lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int code,
	const char *fmt, ...)
{
	char story[500];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap); // NOLINT(clang-analyzer-valist.Uninitialized)
	va_end(ap);
	struct tf_buf path = TF_BUF_INIT;
	tf_buf_puts(&path, job->what);
	value_path(at, &path);
	const char *dots = "";
	size_t n = path.len;
	if (n > VALUE_PATH_MAX) {
		n = VALUE_PATH_MAX;
		dots = "...";
	}
	job->code = tf_err_set(job->err, code, "%.*s%s: %s", (int)n, path.data, dots, story);
	tf_buf_free(&path);
	lua_pushnil(L);
	lua_error(L);
	abort(); /* not reached: lua_error does not return */
}

int tf_value_job_run(lua_State *L, int (*fn)(lua_State *L), struct tf_value_job *job, int nresults)
{
	if (!lua_checkstack(L, 4)) {
		job->code = tf_err_set(job->err, TF_ELUA, "%s: stack overflow", job->what);
		return job->code;
	}
	int extra = nresults ? 0 : 1; /* encode: the value is on the top as an argument */
	lua_pushcfunction(L, fn);
	if (extra)
		lua_insert(L, -2);
	lua_pushlightuserdata(L, job);
	if (lua_pcall(L, 1 + extra, nresults, 0)) {
		if (!job->code)
			job->code = tf_err_set(job->err, TF_ELUA, "%s: %s", job->what,
				lua_isstring(L, -1) ? lua_tostring(L, -1) : "error in Lua");
		lua_pop(L, 1);
	}
	tf_buf_free(&job->scratch);
	return job->code;
}
