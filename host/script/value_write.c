/* Lua to JSON. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/value_job.h"
#include "script/value_lua.h"

enum { VALUE_TCDATA = 10 }; /* LuaJIT's type of cdata, which lua.h does not name */

TF_RAISES static void value_write(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int index);

static void value_write_integer(struct tf_buf *out, int64_t i)
{
	char digits[24];
	char *at = digits + sizeof(digits);
	uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;
	do
		*--at = (char)('0' + u % 10);
	while (u /= 10);
	if (i < 0)
		*--at = '-';
	tf_buf_append(out, at, (size_t)(digits + sizeof(digits) - at));
}

static void value_write_number(struct tf_buf *out, double d)
{
	if (d == floor(d) && fabs(d) <= TF_VALUE_EXACT && !(d == 0 && signbit(d)))
		value_write_integer(out, (int64_t)d);
	else
		tf_json_write_real(out, d);
}

TF_RAISES static void value_write_cdata(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int index)
{
	tf_value_tool_push(L, TF_VALUE_SPLIT64);
	lua_pushvalue(L, index);
	lua_call(L, 1, 3); /* signed, high, low */
	if (lua_isnil(L, -3))
		tf_value_job_refuse(L, job, at, TF_EINVAL,
			"cdata that is neither int64_t nor uint64_t cannot be represented in JSON");
	uint64_t u = (uint64_t)lua_tonumber(L, -2) << 32 | (uint64_t)lua_tonumber(L, -1);
	if (lua_toboolean(L, -3))
		value_write_integer(job->out, (int64_t)u);
	else
		tf_buf_printf(job->out, "%llu", (unsigned long long)u);
	lua_pop(L, 3);
}

TF_RAISES static void value_check_size(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, size_t more)
{
	if (job->out->len - job->start + more > TF_VALUE_LUA_MAX)
		tf_value_job_refuse(
			L, job, at, TF_ELIMIT, "the value is larger than %u bytes", TF_VALUE_LUA_MAX);
}

TF_RAISES static void value_write_string(lua_State *L, struct tf_value_job *job,
	const struct tf_value_place *at, const char *s, size_t n, const char *noun)
{
	size_t valid = tf_utf8_valid_len(s, n);
	if (valid < n)
		tf_value_job_refuse(L, job, at, TF_EINVAL,
			"%s is not valid UTF-8 at byte %zu; encode binary data, for example as base64", noun,
			valid + 1);
	value_check_size(L, job, at, n);
	tf_json_write_string(job->out, s, n);
}

/* The number of elements if the keys of the table at `index` are exactly 1..n, else refuses. */
TF_RAISES static size_t value_list_length(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int index)
{
	size_t count = 0;
	double largest = 0;
	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pop(L, 1); /* key */
		double k = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
		if (lua_type(L, -1) == LUA_TSTRING)
			tf_value_job_refuse(L, job, at, TF_EINVAL,
				"a table with both list elements and the key \"%.60s\" cannot be represented "
				"in JSON",
				lua_tostring(L, -1));
		if (k < 1 || k != floor(k))
			tf_value_job_refuse(L, job, at, TF_EINVAL,
				"a table key that is a %s cannot be represented in JSON: use strings, or "
				"1..n for a list",
				k ? "fractional number" : luaL_typename(L, -1));
		if (k > largest)
			largest = k;
		count++;
	}
	if (largest != (double)count) {
		size_t hole = 1;
		for (;; hole++) {
			lua_rawgeti(L, index, (int)hole);
			bool nil = lua_isnil(L, -1);
			lua_pop(L, 1);
			if (nil)
				break;
		}
		tf_value_job_refuse(L, job, at, TF_EINVAL,
			"a list with a hole at [%zu] cannot be represented in JSON: put taskflow.values.null "
			"there, or use string keys",
			hole);
	}
	return count;
}

TF_RAISES static void value_write_list(
	lua_State *L, struct tf_value_job *job, struct tf_value_place *in, int index, size_t count)
{
	tf_buf_putc(job->out, '[');
	for (size_t i = 1; i <= count; i++) {
		if (i > 1)
			tf_buf_puts(job->out, ", ");
		in->key = NULL;
		in->index = i;
		lua_rawgeti(L, index, (int)i); /* value */
		value_write(L, job, in, lua_gettop(L));
		lua_pop(L, 1);
	}
	tf_buf_putc(job->out, ']');
}

/* A written member inside `out`. */
struct value_member {
	size_t start, key_len, len;
};

static int value_member_cmp(const void *a, const void *b, void *base)
{
	const struct value_member *x = a, *y = b;
	const char *text = base;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int c = memcmp(text + x->start, text + y->start, n);
	return c ? c : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Put the members that begin at `first` into the order of their keys' text. Members were written in the
 * table's own order: sorting afterwards needs no allocation in Lua while the table is walked. */
static void value_sort_members(
	struct tf_value_job *job, size_t first, const struct value_member *sorted, size_t count)
{
	struct tf_buf *out = job->out;
	size_t total = out->len - first;
	char *copy = tf_malloc(total);
	memcpy(copy, out->data + first, total);
	char *to = out->data + first;
	for (size_t i = 0; i < count; i++) {
		if (i > 0) {
			memcpy(to, ", ", 2);
			to += 2;
		}
		memcpy(to, copy + (sorted[i].start - first), sorted[i].len);
		to += sorted[i].len;
	}
	free(copy);
}

/* Members while an object is written: a Lua userdata would move with growth, so a stack of all levels in
 * `scratch`, which the job frees. */
static struct value_member *value_members(struct tf_value_job *job, size_t at)
{
	return (struct value_member *)(void *)(job->scratch.data + at);
}

TF_RAISES static void value_write_object(
	lua_State *L, struct tf_value_job *job, struct tf_value_place *in, int index)
{
	struct tf_buf *out = job->out;
	size_t members = job->scratch.len, count = 0;
	bool ordered = true;
	tf_buf_putc(out, '{');
	size_t first = out->len;
	lua_pushnil(L);
	while (lua_next(L, index)) { /* key, value */
		size_t n;
		if (lua_type(L, -2) != LUA_TSTRING)
			tf_value_job_refuse(L, job, in->up, TF_EINVAL,
				"a table with both string keys and a key that is a %s cannot be represented "
				"in JSON",
				luaL_typename(L, -2));
		const char *key = lua_tolstring(L, -2, &n);
		if (count > 0)
			tf_buf_puts(out, ", ");
		struct value_member m = {.start = out->len};
		in->key = key;
		in->key_len = n;
		value_write_string(L, job, in, key, n, "key");
		m.key_len = out->len - m.start;
		tf_buf_puts(out, ": ");
		value_write(L, job, in, lua_gettop(L));
		m.len = out->len - m.start;
		tf_buf_append(&job->scratch, &m, sizeof(m));
		struct value_member *all = value_members(job, members);
		count++;
		if (count > 1 && value_member_cmp(&all[count - 2], &all[count - 1], out->data) > 0)
			ordered = false;
		lua_pop(L, 1);
	}
	if (!ordered) {
		struct value_member *all = value_members(job, members);
		qsort_r(all, count, sizeof(*all), value_member_cmp, out->data);
		value_sort_members(job, first, all, count);
	}
	job->scratch.len = members;
	tf_buf_putc(out, '}');
}

TF_RAISES static void value_write_table(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int index)
{
	const void *identity = lua_topointer(L, index);
	for (const struct tf_value_place *p = at; p; p = p->up) {
		if (p->table == identity)
			tf_value_job_refuse(L, job, at, TF_EINVAL,
				"a table that contains itself cannot be represented in JSON");
	}
	if (at->depth >= TF_VALUE_LUA_MAX_DEPTH)
		tf_value_job_refuse(L, job, at, TF_ELIMIT, "nested deeper than %d", TF_VALUE_LUA_MAX_DEPTH);
	value_check_size(L, job, at, 0); /* shared tables can multiply without one long string */
	luaL_checkstack(L, 8, job->what);
	struct tf_value_place in = {.up = at, .depth = at->depth + 1, .table = identity};
	bool list = false;
	if (lua_getmetatable(L, index)) {
		list = lua_rawequal(L, -1, job->marker);
		lua_pop(L, 1);
	}
	if (!list) { /* a first key that is a number: a list, or refused */
		lua_pushnil(L);
		if (lua_next(L, index)) {
			list = lua_type(L, -2) != LUA_TSTRING;
			lua_pop(L, 2);
		}
	}
	if (list)
		value_write_list(L, job, &in, index, value_list_length(L, job, at, index));
	else
		value_write_object(L, job, &in, index);
}

TF_RAISES static void value_write(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, int index)
{
	size_t n;
	const char *s;
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		tf_buf_puts(job->out, "null");
		return;
	case LUA_TBOOLEAN:
		tf_buf_puts(job->out, lua_toboolean(L, index) ? "true" : "false");
		return;
	case LUA_TNUMBER:
		value_write_number(job->out, lua_tonumber(L, index));
		return;
	case LUA_TSTRING:
		s = lua_tolstring(L, index, &n);
		value_write_string(L, job, at, s, n, "string");
		return;
	case LUA_TTABLE:
		value_write_table(L, job, at, index);
		return;
	case VALUE_TCDATA:
		value_write_cdata(L, job, at, index);
		return;
	case LUA_TLIGHTUSERDATA:
		if (!lua_touserdata(L, index)) {
			tf_buf_puts(job->out, "null");
			return;
		}
	}
	tf_value_job_refuse(
		L, job, at, TF_EINVAL, "a %s cannot be represented in JSON", luaL_typename(L, index));
}

/* (value, job) */
TF_RAISES static int value_encode(lua_State *L)
{
	struct tf_value_job *job = lua_touserdata(L, 2);
	struct tf_value_place root = {0};
	tf_value_tool_push(L, TF_VALUE_MARKER);
	job->marker = lua_gettop(L);
	value_write(L, job, &root, 1);
	value_check_size(L, job, &root, 0);
	return 0;
}

int tf_value_lua_write(
	struct lua_State *L, int index, const char *what, struct tf_buf *out, struct tf_err *err)
{
	struct tf_value_job job = {.what = what, .out = out, .start = out->len, .err = err};
	if (!lua_checkstack(L, 1))
		return tf_err_set(err, TF_ELUA, "%s: stack overflow", what);
	lua_pushvalue(L, index);
	int rc = tf_value_job_run(L, value_encode, &job, 0);
	if (rc < 0 && out->data) {
		out->len = job.start;
		out->data[out->len] = '\0';
	}
	return rc;
}

struct tf_value *tf_value_lua_get(struct lua_State *L, int index, const char *what, struct tf_err *err)
{
	struct tf_buf text = TF_BUF_INIT;
	if (tf_value_lua_write(L, index, what, &text, err) < 0) {
		tf_buf_free(&text);
		return NULL;
	}
	return tf_value_take(&text);
}
