/* Module tfhost.persistence: backends for lua/taskflow/persistence. Rows are tables of strings; values in them are JSON
 * text. Failures of the world return nil, message, code. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "script/backend_lua.h"
#include "script/bind.h"
#include "script/detail_lua.h"
#include "script/modules.h"

#define BACKEND_TYPE "tfhost.backend"

struct backend_handle {
	struct tf_backend *backend; /* a reference; NULL: closed */
	pid_t owner;                /* the process that opened it: a database does not survive a fork */
};

static struct backend_handle *handle_at(lua_State *L, int index)
{
	return luaL_checkudata(L, index, BACKEND_TYPE);
}

TF_RAISES struct tf_backend *tf_backend_lua_check(lua_State *L, int index)
{
	struct backend_handle *h = handle_at(L, index);
	if (!h->backend)
		tf_bind_raise(L, "StorageFailure", "the backend is closed");
	if (h->owner != getpid())
		tf_bind_raise(L, "StorageFailure",
			"the backend belongs to the process that opened it, not to one of its slots");
	return h->backend;
}

/* --- rows to Lua: collected first, for a visit may not raise --------------------------------- */

struct rows {
	enum { BOOKS, FLOWS, ATOMS } kind;
	void *items;
	size_t count, cap;
};

static void *add(struct rows *r, size_t size)
{
	if (r->count == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 16;
		r->items = tf_realloc(r->items, r->cap * size);
	}
	return (char *)r->items + size * r->count++;
}

/* What is taken over is not the visited one's any more. */
#define COLLECT(name, type) \
	static void name(void *arg, struct type *d) \
	{ \
		*(struct type *)add(arg, sizeof *d) = *d; \
		*d = (struct type){0}; \
	}
COLLECT(collect_book, tf_book_detail)
COLLECT(collect_flow, tf_flow_detail)
COLLECT(collect_atom, tf_atom_detail)

static void rows_free(struct rows *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->kind == BOOKS)
			tf_book_detail_free((struct tf_book_detail *)r->items + i);
		else if (r->kind == FLOWS)
			tf_flow_detail_free((struct tf_flow_detail *)r->items + i);
		else
			tf_atom_detail_free((struct tf_atom_detail *)r->items + i);
	}
	free(r->items);
}

/* (rows) -> list of tables */
TF_RAISES static int push_rows(lua_State *L)
{
	const struct rows *r = lua_touserdata(L, 1);
	lua_createtable(L, (int)r->count, 0);
	for (size_t i = 0; i < r->count; i++) {
		lua_newtable(L);
		if (r->kind == BOOKS)
			tf_detail_lua_push_book(L, (struct tf_book_detail *)r->items + i);
		else if (r->kind == FLOWS)
			tf_detail_lua_push_flow(L, (struct tf_flow_detail *)r->items + i);
		else
			tf_detail_lua_push_atom(L, (struct tf_atom_detail *)r->items + i);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

/* The list, or with `one` its only row. */
TF_RAISES static int give(lua_State *L, struct rows *r, int rc, const char *one, struct tf_err *err)
{
	if (rc == 0 && one && r->count == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "no %s of that uuid in this backend", one);
	if (rc == 0 && one && r->count > 1)
		rc = tf_err_set(
			err, TF_EINVAL, "several %ss have a uuid that begins so: give more of it", one);
	if (rc == 0) {
		lua_pushcfunction(L, push_rows);
		lua_pushlightuserdata(L, r);
		rc = tf_call(L, 1, 1, err);
	}
	rows_free(r);
	if (rc != 0)
		return tf_bind_fail(L, err);
	if (one)
		lua_rawgeti(L, -1, 1);
	return 1;
}

static const char *opt_string(lua_State *L, int index)
{
	return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
}

TF_RAISES static int backend_books(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct rows r = {.kind = BOOKS};
	struct tf_err err;
	int rc = b->ops->books(b, NULL, collect_book, &r, &err);
	return give(L, &r, rc, NULL, &err);
}

TF_RAISES static int backend_book(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	const char *uuid = luaL_checkstring(L, 2);
	struct rows r = {.kind = BOOKS};
	struct tf_err err;
	int rc = b->ops->books(b, uuid, collect_book, &r, &err);
	return give(L, &r, rc, "book", &err);
}

/* flows(book or nil) -> list */
TF_RAISES static int backend_flows(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct rows r = {.kind = FLOWS};
	struct tf_err err;
	int rc = b->ops->flows(b, opt_string(L, 2), NULL, collect_flow, &r, &err);
	return give(L, &r, rc, NULL, &err);
}

/* flow(uuid or the beginning of one) -> row */
TF_RAISES static int backend_flow(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	const char *uuid = luaL_checkstring(L, 2);
	struct rows r = {.kind = FLOWS};
	struct tf_err err;
	int rc = b->ops->flows(b, NULL, uuid, collect_flow, &r, &err);
	return give(L, &r, rc, "flow", &err);
}

TF_RAISES static int backend_atoms(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	const char *flow = luaL_checkstring(L, 2);
	struct rows r = {.kind = ATOMS};
	struct tf_err err;
	int rc = b->ops->atoms(b, flow, NULL, collect_atom, &r, &err);
	return give(L, &r, rc, NULL, &err);
}

TF_RAISES static int backend_atom(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	const char *uuid = luaL_checkstring(L, 2);
	struct rows r = {.kind = ATOMS};
	struct tf_err err;
	int rc = b->ops->atoms(b, NULL, uuid, collect_atom, &r, &err);
	return give(L, &r, rc, "atom", &err);
}

/* --- saving ------------------------------------------------------------------------------ */

TF_RAISES static int done(lua_State *L, int rc, const struct tf_err *err)
{
	if (rc != 0)
		return tf_bind_fail(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

/* save_book{ uuid, name, meta } */
TF_RAISES static int backend_save_book(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_book_detail d;
	struct tf_err err;
	luaL_checktype(L, 2, LUA_TTABLE);
	int rc = tf_detail_lua_book(L, 2, &d, &err);
	if (rc == 0)
		rc = b->ops->save(b, &(struct tf_save){.book = &d}, &err);
	tf_book_detail_free(&d);
	return done(L, rc, &err);
}

/* save_flow(book: uuid, or a row to be saved too, row, atoms) */
TF_RAISES static int backend_save_flow(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_book_detail book = {0};
	struct tf_err err;
	luaL_checktype(L, 3, LUA_TTABLE);
	luaL_checktype(L, 4, LUA_TTABLE);
	luaL_argcheck(L, lua_istable(L, 2) || lua_isstring(L, 2), 2, "a book");
	int rc = lua_istable(L, 2) ? tf_detail_lua_book(L, 2, &book, &err) : 0;
	struct tf_flow_detail d = {0};
	if (rc == 0)
		rc = tf_detail_lua_flow(L, 3, &d, &err);
	d.book = tf_strdup(book.uuid ? book.uuid : lua_istable(L, 2) ? "" : lua_tostring(L, 2));
	struct tf_save save = {.book = book.uuid ? &book : NULL, .flow = &d, .flow_uuid = d.uuid};
	struct tf_atom_detail *atoms = NULL;
	if (rc == 0 && !(atoms = tf_detail_lua_atoms(L, 4, &save.count, &err)))
		rc = err.code;
	save.atoms = atoms;
	save.fresh = save.count;
	if (rc == 0)
		rc = b->ops->save(b, &save, &err);
	if (atoms)
		tf_detail_lua_atoms_free(atoms, save.count);
	tf_flow_detail_free(&d);
	tf_book_detail_free(&book);
	return done(L, rc, &err);
}

/* save_atoms(flow, rows) */
TF_RAISES static int backend_save_atoms(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_err err;
	struct tf_save save = {.flow_uuid = luaL_checkstring(L, 2)};
	luaL_checktype(L, 3, LUA_TTABLE);
	struct tf_atom_detail *atoms = tf_detail_lua_atoms(L, 3, &save.count, &err);
	if (!atoms)
		return tf_bind_fail(L, &err);
	save.atoms = atoms;
	save.fresh = save.count;
	int rc = b->ops->save(b, &save, &err);
	tf_detail_lua_atoms_free(atoms, save.count);
	return done(L, rc, &err);
}

TF_RAISES static int backend_delete_book(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_err err;
	return done(L, b->ops->remove_book(b, luaL_checkstring(L, 2), &err), &err);
}

TF_RAISES static int backend_delete_flow(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_err err;
	return done(L, b->ops->remove_flow(b, luaL_checkstring(L, 2), &err), &err);
}

/* --- owners ------------------------------------------------------------------------------ */

/* lock(flow) -> true | nil, who has it, "EAGAIN" */
TF_RAISES static int backend_lock(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_err err;
	return done(L, b->ops->lock(b, luaL_checkstring(L, 2), &err), &err);
}

TF_RAISES static int backend_unlock(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	b->ops->unlock(b, luaL_checkstring(L, 2));
	return 0;
}

/* owner(flow) -> { pid, host, since } of the engine that runs it, or nil */
TF_RAISES static int backend_owner(lua_State *L)
{
	struct tf_backend *b = tf_backend_lua_check(L, 1);
	struct tf_owner owner;
	if (!b->ops->owner(b, luaL_checkstring(L, 2), &owner))
		return 0;
	lua_newtable(L);
	lua_pushnumber(L, (lua_Number)owner.pid);
	lua_setfield(L, -2, "pid");
	lua_pushstring(L, owner.host);
	lua_setfield(L, -2, "host");
	lua_pushstring(L, owner.since);
	lua_setfield(L, -2, "since");
	return 1;
}

static int backend_close(lua_State *L)
{
	struct backend_handle *h = handle_at(L, 1);
	if (h->owner == getpid())
		tf_backend_close(h->backend);
	h->backend = NULL;
	return 0;
}

/* --- the module -------------------------------------------------------------------------- */

static int read_durability(const char *name, enum tf_durability *out, struct tf_err *err)
{
	static const char *const names[] = {[TF_DURABILITY_NORMAL] = "normal",
		[TF_DURABILITY_FULL] = "full",
		[TF_DURABILITY_OFF] = "off"};
	for (size_t i = 0; i < 3; i++) {
		if (name && strcmp(names[i], name) != 0)
			continue;
		*out = (enum tf_durability)i;
		return 0;
	}
	return tf_err_set(err, TF_EINVAL, "durability is full, normal or off, not '%s'", name);
}

/* open{ connection, path, durability } -> backend | nil, message, code */
TF_RAISES static int persistence_open(lua_State *L)
{
	struct tf_backend_config config = {0};
	struct tf_err err;
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_getfield(L, 1, "connection");
	lua_getfield(L, 1, "durability"); /* 1, connection, durability */
	config.connection = luaL_checkstring(L, 2);
	struct backend_handle *h = lua_newuserdata(L, sizeof *h);
	h->backend = NULL;
	h->owner = getpid();
	luaL_getmetatable(L, BACKEND_TYPE);
	lua_setmetatable(L, -2);
	if (read_durability(opt_string(L, 3), &config.durability, &err) < 0 ||
		tf_backend_open(&config, &h->backend, &err) < 0)
		return tf_bind_fail(L, &err);
	return 1;
}

static int persistence_uuid(lua_State *L)
{
	char uuid[TF_UUID_LEN + 1];
	tf_uuid(uuid);
	lua_pushstring(L, uuid);
	return 1;
}

int tf_bind_persistence_open(lua_State *L)
{
	static const struct luaL_Reg methods[] = {
		{"books", backend_books},
		{"book", backend_book},
		{"flows", backend_flows},
		{"flow", backend_flow},
		{"atoms", backend_atoms},
		{"atom", backend_atom},
		{"save_book", backend_save_book},
		{"save_flow", backend_save_flow},
		{"save_atoms", backend_save_atoms},
		{"delete_book", backend_delete_book},
		{"delete_flow", backend_delete_flow},
		{"lock", backend_lock},
		{"unlock", backend_unlock},
		{"owner", backend_owner},
		{"close", backend_close},
		{NULL, NULL},
	};
	static const struct luaL_Reg functions[] = {
		{"open", persistence_open},
		{"uuid", persistence_uuid},
		{NULL, NULL},
	};
	luaL_newmetatable(L, BACKEND_TYPE);
	lua_pushcfunction(L, backend_close);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
