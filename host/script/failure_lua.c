#include "script/failure_lua.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/json.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "script/call.h"
#include "script/value_lua.h"

/* Registry: the error value that became a failure last. */
#define FAILURE_RAISED "tfhost.raised"

enum {
	FAILURE_MAX_TYPES = 32,    /* length of exc_type_names */
	FAILURE_MAX_CAUSES = 16,   /* of one failure */
	FAILURE_MAX_NESTING = 6,   /* each link of a chain doubles its size (PROTOCOL.md 4) */
	FAILURE_MAX_ALL = 128,     /* causes in one dict, at whatever depth: one may be its own cause */
	FAILURE_MAX_FRAMES = 40,   /* printed at each end of a stack */
	FAILURE_MAX_SOURCE = 1000, /* bytes of a source line */
	FAILURE_MAX_TABLE = 1000,  /* bytes of a raised table shown */
};

/* Parts of the dict while they are collected; lives outside the protected call. */
struct failure_parts {
	struct tf_buf text, traceback;
	char *types[FAILURE_MAX_TYPES + 1];
	size_t type_count;
	struct tf_value *args; /* array, or NULL */
	struct tf_buf causes;  /* inside of the array */
	unsigned cause_count;
	unsigned nesting;
	unsigned *budget; /* causes that may still be added */
};

static struct tf_value *failure_convert(
	lua_State *L, int index, const char *traceback, unsigned nesting, unsigned *budget);

/* Append the bytes at the top of the stack, if a string; pops it. True if it was one. */
static bool failure_take_string(lua_State *L, struct tf_buf *out)
{
	size_t n;
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
	if (s) {
		out->len = 0;
		tf_buf_append(out, s, n);
		for (size_t i = 0; i < n;
			i++) { /* the text of a failure is a C string: not to be cut short */
			if (!out->data[i])
				out->data[i] = '?';
		}
	}
	lua_pop(L, 1);
	return s != NULL;
}

/* A table says what it has to say: its message, or all of it. */
TF_RAISES static void failure_take_table(lua_State *L, int index, struct tf_buf *out)
{
	lua_getfield(L, index, "message");
	if (failure_take_string(L, out))
		return;
	struct tf_value *v = tf_value_lua_get(L, index, "error", NULL);
	if (v && tf_value_len(v) <= FAILURE_MAX_TABLE)
		tf_buf_printf(out, "(error value is a table: %s)", tf_value_text(v));
	else
		tf_buf_puts(out, "(error value is a table)");
	tf_value_unref(v);
}

/* Text of any value, as tostring gives it. */
TF_RAISES static void failure_take_text(lua_State *L, int index, struct tf_buf *out)
{
	if (luaL_callmeta(L, index, "__tostring")) {
		if (failure_take_string(L, out))
			return;
	}
	switch (lua_type(L, index)) {
	case LUA_TSTRING:
	case LUA_TNUMBER:
		lua_pushvalue(L, index);
		lua_tostring(L, -1);
		failure_take_string(L, out);
		break;
	case LUA_TBOOLEAN:
		tf_buf_puts(out, lua_toboolean(L, index) ? "true" : "false");
		break;
	case LUA_TNIL:
		tf_buf_puts(out, "nil");
		break;
	case LUA_TTABLE:
		failure_take_table(L, index, out);
		break;
	default:
		tf_buf_printf(out, "(error value is a %s)", luaL_typename(L, index));
	}
}

/* What an exception of the library says of itself and of its causes; false if it is none. */
TF_RAISES static bool failure_take_pformat(lua_State *L, int index, struct tf_buf *out)
{
	lua_getfield(L, index, "pformat");
	if (!lua_isfunction(L, -1)) {
		lua_pop(L, 1);
		return false;
	}
	lua_pushvalue(L, index);
	lua_call(L, 1, 1);
	return failure_take_string(L, out);
}

/* exc_type_names of the table at `index`; false if it has none. */
TF_RAISES static bool failure_take_types(lua_State *L, int index, struct failure_parts *p)
{
	lua_getfield(L, index, "exc_type_names");
	if (lua_istable(L, -1)) {
		for (int i = 1; p->type_count < FAILURE_MAX_TYPES - 1; i++) {
			lua_rawgeti(L, -1, i);
			size_t n;
			const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
			if (s && n > 0)
				p->types[p->type_count++] = tf_strndup(s, n);
			lua_pop(L, 1);
			if (!s)
				break;
		}
	}
	lua_pop(L, 1);
	if (p->type_count == 0)
		return false;
	const char *last = p->types[p->type_count - 1];
	if (strcmp(last, "Exception") && strcmp(last, "BaseException"))
		p->types[p->type_count++] = tf_strdup("Exception");
	return true;
}

/* Push the first of the named fields that is not nil, or nil. */
TF_RAISES static void failure_push_first(lua_State *L, int index, const char *const *names)
{
	lua_pushnil(L);
	for (; *names && lua_isnil(L, -1); names++) {
		lua_pop(L, 1);
		lua_getfield(L, index, *names);
	}
}

TF_RAISES static void failure_take_args(lua_State *L, int index, struct failure_parts *p)
{
	static const char *const names[] = {"exc_args", "exception_args", "args", NULL};
	failure_push_first(L, index, names);
	if (lua_istable(L, -1)) {
		struct tf_value *v = tf_value_lua_get(L, -1, "args", NULL);
		/* The reference sends no arguments when they cannot be encoded. */
		if (!v || tf_json_type(tf_value_json(v)) != TF_JSON_ARRAY) {
			tf_value_unref(v);
			v = tf_value_parse("[]", 2, 0, NULL);
		}
		p->args = v;
	}
	lua_pop(L, 1);
}

/* The causes of the table at `index`, flattened as the reference does: a Failure's are flat already, those of an
 * exception are a chain. */
TF_RAISES static void failure_take_causes(lua_State *L, int index, struct failure_parts *p, unsigned depth)
{
	luaL_checkstack(L, 6, "failure");
	lua_getfield(L, index, "causes"); /* causes */
	for (int i = 1; lua_istable(L, -1) && p->cause_count < FAILURE_MAX_CAUSES && *p->budget; i++) {
		lua_rawgeti(L, -1, i); /* causes, cause */
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			break;
		}
		(*p->budget)--;
		struct tf_value *cause = failure_convert(L, -1, NULL, p->nesting + 1, p->budget);
		tf_buf_printf(&p->causes, "%s%s", p->causes.len ? ", " : "", tf_value_text(cause));
		tf_value_unref(cause);
		p->cause_count++;
		if (lua_istable(L, -1) && depth < FAILURE_MAX_CAUSES) {
			lua_getfield(L, -1, "exception_str"); /* causes, cause, text */
			bool is_failure = !lua_isnil(L, -1);
			lua_pop(L, 1);
			if (!is_failure)
				failure_take_causes(L, lua_gettop(L), p, depth + 1);
		}
		lua_pop(L, 1); /* causes */
	}
	lua_pop(L, 1);
}

/* (value, parts) */
TF_RAISES static int failure_collect(lua_State *L)
{
	static const char *const texts[] = {"exception_str", "message", NULL};
	struct failure_parts *p = lua_touserdata(L, 2);
	luaL_checkstack(L, 20, "failure");
	if (p->nesting == 0) {
		lua_pushvalue(L, 1);
		lua_setfield(L, LUA_REGISTRYINDEX, FAILURE_RAISED);
	}
	if (!lua_istable(L, 1) || !failure_take_types(L, 1, p)) {
		failure_take_text(L, 1, &p->text);
		return 0;
	}
	if (!failure_take_pformat(L, 1, &p->text)) {
		failure_push_first(L, 1, texts);
		if (!failure_take_string(L, &p->text))
			failure_take_text(L, 1, &p->text);
	}
	lua_getfield(L, 1, "traceback_str");
	failure_take_string(L, &p->traceback);
	failure_take_args(L, 1, p);
	if (p->nesting < FAILURE_MAX_NESTING)
		failure_take_causes(L, 1, p, 0);
	return 0;
}

static struct tf_value *failure_build(struct failure_parts *p, const char *traceback)
{
	tf_buf_reserve(&p->text, 1);
	struct tf_value *causes = NULL;
	if (p->causes.len) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_printf(&b, "[%s]", p->causes.data);
		causes = tf_value_take(&b);
	}
	struct tf_failure f = {
		.exception_str = p->text.len ? p->text.data : "",
		.traceback_str = p->traceback.len ? p->traceback.data : traceback,
		.exc_type_names = p->type_count ? (const char *const *)p->types : tf_types_lua_error,
		.exc_args = p->args,
		.causes = causes,
	};
	struct tf_value *v = tf_failure_value(&f);
	tf_value_unref(causes);
	return v;
}

static struct tf_value *failure_convert(
	lua_State *L, int index, const char *traceback, unsigned nesting, unsigned *budget)
{
	struct failure_parts p = {.nesting = nesting, .budget = budget};
	int top = lua_gettop(L);
	if (index < 0)
		index = top + 1 + index;
	if (!lua_checkstack(L, 4)) {
		tf_buf_puts(&p.text, "(error value lost: stack overflow)");
	} else {
		lua_pushcfunction(L, failure_collect);
		lua_pushvalue(L, index);
		lua_pushlightuserdata(L, &p);
		if (lua_pcall(L, 2, 0, 0)) {
			p.text.len = 0;
			tf_buf_printf(&p.text, "(error value is a %s that cannot be read: %s)",
				luaL_typename(L, index), lua_isstring(L, -1) ? lua_tostring(L, -1) : "?");
		}
	}
	lua_settop(L, top);
	struct tf_value *v = failure_build(&p, traceback);
	for (size_t i = 0; i < p.type_count; i++)
		free(p.types[i]);
	tf_buf_free(&p.text);
	tf_buf_free(&p.traceback);
	tf_buf_free(&p.causes);
	tf_value_unref(p.args);
	return v;
}

struct tf_value *tf_failure_lua(struct lua_State *L, int index, const char *traceback)
{
	unsigned budget = FAILURE_MAX_ALL;
	return failure_convert(L, index, traceback, 0, &budget);
}

/* Append line `wanted` of a script, without its indentation. Scripts are small; a failure is rare. */
static void failure_source_line(const char *path, int wanted, struct tf_buf *out)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a fifo must not hold us */
	struct stat st;
	FILE *f = NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		f = fdopen(fd, "r");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	char line[FAILURE_MAX_SOURCE];
	int number = 1;
	bool start = true;
	while (fgets(line, sizeof(line), f)) {
		bool ends = strchr(line, '\n') != NULL;
		if (number == wanted && start) {
			const char *s = line + strspn(line, " \t");
			size_t n = strcspn(s, "\r\n");
			if (n > 0)
				tf_buf_printf(out, "    %.*s\n", (int)n, s);
			break;
		}
		start = ends;
		number += ends;
	}
	fclose(f);
}

static void failure_frame(const lua_Debug *ar, const char *entry, struct tf_buf *out)
{
	const char *file = ar->source[0] == '@' ? ar->source + 1 : ar->short_src;
	tf_buf_printf(out, "  File \"%s\", line %d, in ", file, ar->currentline);
	if (!strcmp(ar->what, "main"))
		tf_buf_puts(out, "<module>");
	else if (ar->name)
		tf_buf_puts(out, ar->name);
	else if (entry)
		tf_buf_puts(out, entry);
	else
		tf_buf_printf(out, "<function:%d>", ar->linedefined);
	tf_buf_putc(out, '\n');
	if (ar->source[0] == '@')
		failure_source_line(ar->source + 1, ar->currentline, out);
}

/* The youngest frame of the user's: those of the embedded library that raise for a mistake say nothing about it. */
static int failure_user_level(lua_State *L, int level)
{
	lua_Debug ar;
	for (int i = level; i < level + FAILURE_MAX_FRAMES && lua_getstack(L, i, &ar); i++) {
		if (!lua_getinfo(L, "S", &ar) || !strcmp(ar.what, "C"))
			continue;
		if (strncmp(ar.source, "@lua/taskflow/", 14) && strncmp(ar.source, "@lua/tfhost/", 12))
			return i;
	}
	return level; /* all are the library's */
}

void tf_failure_lua_traceback(struct lua_State *L, int level, const char *entry, struct tf_buf *out)
{
	lua_Debug ar;
	level = failure_user_level(L, level);
	int depth = level;
	for (int step = 1 << 20; step > 0; step /= 2) { /* deepest level, by bisection: stacks may be long */
		while (lua_getstack(L, depth + step, &ar))
			depth += step;
	}
	bool outermost = true;
	int skipped = 0;
	for (int i = depth; i >= level; i--) {
		if (depth - i >= FAILURE_MAX_FRAMES && i - level >= FAILURE_MAX_FRAMES) {
			skipped++;
			continue;
		}
		if (skipped) {
			tf_buf_printf(out, "  [%d more frames]\n", skipped);
			skipped = 0;
		}
		if (!lua_getstack(L, i, &ar) || !lua_getinfo(L, "nSl", &ar))
			continue;
		if (!strcmp(ar.what, "C") || ar.currentline < 0)
			continue;
		failure_frame(&ar, outermost ? entry : NULL, out);
		outermost = false;
	}
}

TF_RAISES static int failure_raised(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, FAILURE_RAISED);
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, FAILURE_RAISED);
	return 1;
}

int tf_failure_lua_raised(struct lua_State *L)
{
	struct tf_err err;
	if (!lua_checkstack(L, 4))
		return 0;
	lua_pushcfunction(L, failure_raised);
	if (tf_call(L, 0, 1, &err) < 0)
		return 0;
	if (!lua_isnil(L, -1))
		return 1;
	lua_pop(L, 1);
	return 0;
}

TF_RAISES static int failure_push(lua_State *L)
{
	const struct tf_json *dict = lua_touserdata(L, 1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "taskflow.failure");
	lua_call(L, 1, 1);                /* dict, module */
	lua_getfield(L, -1, "from_dict"); /* dict, module, from_dict */
	struct tf_err err;
	if (tf_value_lua_push(L, *dict, "failure", &err) < 0)
		return luaL_error(L, "%s", err.message);
	lua_call(L, 1, 1);
	return 1;
}

int tf_failure_lua_push(struct lua_State *L, struct tf_json dict, struct tf_err *err)
{
	if (!lua_checkstack(L, 4))
		return tf_err_set(err, TF_ELUA, "stack overflow");
	lua_pushcfunction(L, failure_push);
	lua_pushlightuserdata(L, &dict);
	return tf_call(L, 1, 1, err);
}
