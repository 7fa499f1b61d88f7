#include "script/value_lua.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/call.h"

#define VALUE_EXACT 9007199254740992.0 /* 2^53: integers up to here are exact in a Lua number */
enum {
	VALUE_TCDATA = 10,    /* LuaJIT's type of cdata, which lua.h does not name */
	VALUE_PATH_MAX = 300, /* bytes of a path in an error story */
};

/* Registry keys, by address. */
static char value_key_marker, value_key_make64, value_key_split64;

/* There is no C API for cdata: 64-bit integers pass in halves. */
static const char value_ffi[] =
	"local ffi, bit = require 'ffi', require 'bit'\n"
	"local i64, u64 = ffi.typeof 'int64_t', ffi.typeof 'uint64_t'\n"
	"local function make(unsigned, high, low)\n"
	"  local u = bit.bor(bit.lshift(u64(high), 32), u64(low))\n"
	"  return unsigned and u or i64(u)\n"
	"end\n"
	"local function split(v)\n"
	"  local signed = ffi.istype(i64, v)\n"
	"  if not signed and not ffi.istype(u64, v) then return nil end\n"
	"  local u = ffi.cast(u64, v)\n"
	"  return signed, tonumber(bit.rshift(u, 32)), tonumber(bit.band(u, 0xffffffffULL))\n"
	"end\n"
	"return make, split\n";

TF_RAISES void tf_value_lua_open(struct lua_State *L)
{
	lua_pushlightuserdata(L, &value_key_marker);
	luaL_newmetatable(L, "taskflow.list"); /* key, marker */
	lua_rawset(L, LUA_REGISTRYINDEX);
	if (luaL_loadbuffer(L, value_ffi, sizeof(value_ffi) - 1, "=values"))
		lua_error(L);
	lua_call(L, 0, 2); /* make, split */
	lua_pushlightuserdata(L, &value_key_split64);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX); /* make */
	lua_pushlightuserdata(L, &value_key_make64);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

static void value_registry(lua_State *L, char *key)
{
	lua_pushlightuserdata(L, key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

TF_RAISES void tf_value_lua_mark_list(struct lua_State *L, int index)
{
	lua_pushvalue(L, index);
	value_registry(L, &value_key_marker); /* table, marker */
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

int tf_value_lua_is_list(struct lua_State *L, int index)
{
	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return 0;
	value_registry(L, &value_key_marker);
	int same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

/* Where we are inside the value: a list from the innermost container outwards, on the C stack. */
struct value_place {
	const struct value_place *up;
	const char *key; /* member name; NULL: element `index` */
	size_t key_len;
	size_t index;
	const void *table; /* encode: identity, to find cycles */
	unsigned depth;
};

/* What one conversion carries; lives outside the protected call, which may be left by a jump. */
struct value_job {
	struct tf_json json; /* decode */
	const char *what;
	struct tf_buf *out; /* encode */
	struct tf_buf scratch;
	size_t start; /* encode: length of `out` before */
	int marker;   /* stack index of the marker metatable */
	int code;     /* of the error raised by ourselves */
	struct tf_err *err;
};

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

static void value_path(const struct value_place *at, struct tf_buf *out)
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

/* Leave the conversion with "PATH: story". */
__attribute__((format(printf, 5, 6))) TF_RAISES _Noreturn static void value_refuse(
	lua_State *L, struct value_job *job, const struct value_place *at, int code, const char *fmt, ...)
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

/* Run fn under protection; our own refusals keep their code and story. */
static int value_run(lua_State *L, int (*fn)(lua_State *L), struct value_job *job, int nresults)
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

/* ---- JSON to Lua ---- */

TF_RAISES static void value_push64(lua_State *L, bool is_unsigned, uint64_t u)
{
	value_registry(L, &value_key_make64);
	lua_pushboolean(L, is_unsigned);
	lua_pushnumber(L, (double)(u >> 32));
	lua_pushnumber(L, (double)(u & 0xffffffffu));
	lua_call(L, 3, 1);
}

TF_RAISES static void value_push_integer(
	lua_State *L, struct value_job *job, const struct value_place *at, struct tf_json v)
{
	int64_t i;
	if (tf_json_int64(v, &i)) {
		if (i >= -(int64_t)VALUE_EXACT && i <= (int64_t)VALUE_EXACT)
			lua_pushnumber(L, (double)i);
		else
			value_push64(L, false, (uint64_t)i);
		return;
	}
	bool negative = v.text[0] == '-';
	size_t digits = v.len - negative;
	char text[24];
	if (!negative && digits <= 20) { /* 2^64 has 20 digits */
		memcpy(text, v.text, digits);
		text[digits] = '\0';
		errno = 0;
		unsigned long long u = strtoull(text, NULL, 10);
		if (errno == 0) {
			value_push64(L, true, u);
			return;
		}
	}
	value_refuse(L, job, at, TF_ELIMIT,
		"integer of %zu digits does not fit 64 bits; pass it on unread, or send it as a string",
		digits);
}

TF_RAISES static void value_push_string(lua_State *L, struct value_job *job, const struct value_place *at,
	struct tf_json token, const char *noun)
{
	if (!memchr(token.text, '\\', token.len)) {
		lua_pushlstring(L, token.text + 1, token.len - 2);
		return;
	}
	struct tf_err err;
	job->scratch.len = 0;
	if (tf_json_unescape(token, &job->scratch, &err) < 0)
		value_refuse(L, job, at, TF_EFORMAT, "%s cannot be a Lua string: %s", noun, err.message);
	lua_pushlstring(L, job->scratch.len ? job->scratch.data : "", job->scratch.len);
}

TF_RAISES static void value_push(lua_State *L, struct value_job *job, const struct value_place *at,
	struct tf_json v, struct tf_json_iter *outer);

/* Leaves `it` at the end of the container. */
TF_RAISES static void value_push_container(
	lua_State *L, struct value_job *job, const struct value_place *at, struct tf_json_iter *it)
{
	if (at->depth >= TF_JSON_MAX_DEPTH)
		value_refuse(L, job, at, TF_ELIMIT, "nested deeper than %d", TF_JSON_MAX_DEPTH);
	luaL_checkstack(L, 8, job->what);
	struct value_place in = {.up = at, .depth = at->depth + 1};
	struct tf_json key, val;
	lua_newtable(L); /* table */
	if (it->object) {
		while (tf_json_step(it, &key, &val)) {
			in.key = key.text + 1;
			in.key_len = key.len - 2;
			value_push_string(L, job, &in, key, "key"); /* table, key */
			value_push(L, job, &in, val, it);           /* table, key, value */
			lua_rawset(L, -3);
		}
		return;
	}
	lua_pushvalue(L, job->marker);
	lua_setmetatable(L, -2);
	while (tf_json_step(it, &key, &val)) {
		in.index++;
		if (in.index > INT32_MAX)
			value_refuse(L, job, at, TF_ELIMIT, "list too long");
		value_push(L, job, &in, val, it); /* table, value */
		lua_rawseti(L, -2, (int)in.index);
	}
}

/* v is what the last step of `outer` found (NULL: the whole text). Steps read every byte once,
 * however deep it lies. */
TF_RAISES static void value_push(lua_State *L, struct value_job *job, const struct value_place *at,
	struct tf_json v, struct tf_json_iter *outer)
{
	struct tf_json_iter it;
	double d = 0;
	switch (tf_json_type(v)) {
	case TF_JSON_NULL:
		lua_pushlightuserdata(L, NULL);
		return;
	case TF_JSON_TRUE:
	case TF_JSON_FALSE:
		lua_pushboolean(L, tf_json_type(v) == TF_JSON_TRUE);
		return;
	case TF_JSON_INTEGER:
		value_push_integer(L, job, at, v);
		return;
	case TF_JSON_REAL:
		tf_json_double(v, &d);
		lua_pushnumber(L, d);
		return;
	case TF_JSON_STRING:
		value_push_string(L, job, at, v, "string");
		return;
	case TF_JSON_ARRAY:
	case TF_JSON_OBJECT:
		it = outer ? tf_json_enter(outer) : tf_json_iter(v);
		value_push_container(L, job, at, &it);
		if (outer)
			tf_json_leave(outer, &it);
		return;
	}
}

TF_RAISES static int value_decode(lua_State *L)
{
	struct value_job *job = lua_touserdata(L, 1);
	struct value_place root = {0};
	value_registry(L, &value_key_marker);
	job->marker = lua_gettop(L);
	value_push(L, job, &root, job->json, NULL);
	return 1;
}

int tf_value_lua_push(struct lua_State *L, struct tf_json v, const char *what, struct tf_err *err)
{
	struct value_job job = {.json = v, .what = what, .err = err};
	return value_run(L, value_decode, &job, 1);
}

/* ---- Lua to JSON ---- */

TF_RAISES static void value_write(
	lua_State *L, struct value_job *job, const struct value_place *at, int index);

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
	if (d == floor(d) && fabs(d) <= VALUE_EXACT && !(d == 0 && signbit(d)))
		value_write_integer(out, (int64_t)d);
	else
		tf_json_write_real(out, d);
}

TF_RAISES static void value_write_cdata(
	lua_State *L, struct value_job *job, const struct value_place *at, int index)
{
	value_registry(L, &value_key_split64);
	lua_pushvalue(L, index);
	lua_call(L, 1, 3); /* signed, high, low */
	if (lua_isnil(L, -3))
		value_refuse(L, job, at, TF_EINVAL,
			"cdata that is neither int64_t nor uint64_t cannot be represented in JSON");
	uint64_t u = (uint64_t)lua_tonumber(L, -2) << 32 | (uint64_t)lua_tonumber(L, -1);
	if (lua_toboolean(L, -3))
		value_write_integer(job->out, (int64_t)u);
	else
		tf_buf_printf(job->out, "%llu", (unsigned long long)u);
	lua_pop(L, 3);
}

TF_RAISES static void value_check_size(
	lua_State *L, struct value_job *job, const struct value_place *at, size_t more)
{
	if (job->out->len - job->start + more > TF_VALUE_LUA_MAX)
		value_refuse(L, job, at, TF_ELIMIT, "the value is larger than %u bytes", TF_VALUE_LUA_MAX);
}

TF_RAISES static void value_write_string(lua_State *L, struct value_job *job, const struct value_place *at,
	const char *s, size_t n, const char *noun)
{
	size_t valid = tf_utf8_valid_len(s, n);
	if (valid < n)
		value_refuse(L, job, at, TF_EINVAL,
			"%s is not valid UTF-8 at byte %zu; encode binary data, for example as base64", noun,
			valid + 1);
	value_check_size(L, job, at, n);
	tf_json_write_string(job->out, s, n);
}

/* The number of elements if the keys of the table at `index` are exactly 1..n, else refuses. */
TF_RAISES static size_t value_list_length(
	lua_State *L, struct value_job *job, const struct value_place *at, int index)
{
	size_t count = 0;
	double largest = 0;
	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pop(L, 1); /* key */
		double k = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
		if (lua_type(L, -1) == LUA_TSTRING)
			value_refuse(L, job, at, TF_EINVAL,
				"a table with both list elements and the key \"%.60s\" cannot be represented "
				"in JSON",
				lua_tostring(L, -1));
		if (k < 1 || k != floor(k))
			value_refuse(L, job, at, TF_EINVAL,
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
		value_refuse(L, job, at, TF_EINVAL,
			"a list with a hole at [%zu] cannot be represented in JSON: put taskflow.values.null "
			"there, or use string keys",
			hole);
	}
	return count;
}

TF_RAISES static void value_write_list(
	lua_State *L, struct value_job *job, struct value_place *in, int index, size_t count)
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
	struct value_job *job, size_t first, const struct value_member *sorted, size_t count)
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
static struct value_member *value_members(struct value_job *job, size_t at)
{
	return (struct value_member *)(void *)(job->scratch.data + at);
}

TF_RAISES static void value_write_object(
	lua_State *L, struct value_job *job, struct value_place *in, int index)
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
			value_refuse(L, job, in->up, TF_EINVAL,
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
	lua_State *L, struct value_job *job, const struct value_place *at, int index)
{
	const void *identity = lua_topointer(L, index);
	for (const struct value_place *p = at; p; p = p->up) {
		if (p->table == identity)
			value_refuse(L, job, at, TF_EINVAL,
				"a table that contains itself cannot be represented in JSON");
	}
	if (at->depth >= TF_VALUE_LUA_MAX_DEPTH)
		value_refuse(L, job, at, TF_ELIMIT, "nested deeper than %d", TF_VALUE_LUA_MAX_DEPTH);
	value_check_size(L, job, at, 0); /* shared tables can multiply without one long string */
	luaL_checkstack(L, 8, job->what);
	struct value_place in = {.up = at, .depth = at->depth + 1, .table = identity};
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
	lua_State *L, struct value_job *job, const struct value_place *at, int index)
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
	value_refuse(L, job, at, TF_EINVAL, "a %s cannot be represented in JSON", luaL_typename(L, index));
}

/* (value, job) */
TF_RAISES static int value_encode(lua_State *L)
{
	struct value_job *job = lua_touserdata(L, 2);
	struct value_place root = {0};
	value_registry(L, &value_key_marker);
	job->marker = lua_gettop(L);
	value_write(L, job, &root, 1);
	value_check_size(L, job, &root, 0);
	return 0;
}

int tf_value_lua_write(
	struct lua_State *L, int index, const char *what, struct tf_buf *out, struct tf_err *err)
{
	struct value_job job = {.what = what, .out = out, .start = out->len, .err = err};
	if (!lua_checkstack(L, 1))
		return tf_err_set(err, TF_ELUA, "%s: stack overflow", what);
	lua_pushvalue(L, index);
	int rc = value_run(L, value_encode, &job, 0);
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
