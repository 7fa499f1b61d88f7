#include "script/state.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/call.h"
#include "script/embed.h"
#include "script/finalizers.h"
#include "script/modules.h"
#include "script/sources.h"
#include "script/traversal.h"
#include "script/value_lua.h"

/* Registry: module name -> path of the file that was loaded by path; "" for names that are ours. */
#define STATE_FILES "tfhost.files"
/* Place of the loader for Lua files in package.loaders, behind preload and the library's. */
enum { STATE_FILE_LOADER = 3 };
/* Percent of the memory in use at which the collector begins anew, 200 by default. */
enum { STATE_FLOWS_PAUSE = 400 };

static const struct luaL_Reg state_modules[] = {
#define X(name, open) {name, open},
	TF_SCRIPT_MODULES(X)
#undef X
		{NULL, NULL},
};

/* The library's loader, before all paths. Upvalue 1: directory of the source tree, or nil. */
TF_RAISES static int state_library_loader(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *dir = lua_tostring(L, lua_upvalueindex(1));
	const struct tf_embed *m = tf_embed_modules;
	while (m->name && strcmp(m->name, name))
		m++;
	if (!m->name && !(dir && (!strcmp(name, "taskflow") || !strncmp(name, "taskflow.", 9))))
		return 0;
	if (dir) {
		const char *rel = luaL_gsub(L, name, ".", "/"); /* rel */
		static const char *const shapes[] = {"%s/%s.lua", "%s/%s/init.lua"};
		for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
			const char *path = lua_pushfstring(L, shapes[i], dir, rel); /* rel, path */
			if (access(path, R_OK) == 0) {
				if (tf_sources_load(L, path))
					return lua_error(L);
				return 1;
			}
			lua_pop(L, 1); /* rel */
		}
	}
	if (!m->name)
		return 0;
	if (luaL_loadbuffer(L, (const char *)m->code, m->len, lua_pushfstring(L, "@%s", m->name)))
		return lua_error(L);
	return 1;
}

/* Stack: package at the top. Puts the library's loader second in package.loaders. */
TF_RAISES static void state_add_loader(lua_State *L, const char *lua_dir)
{
	lua_getfield(L, -1, "loaders"); /* package, loaders */
	for (size_t i = lua_objlen(L, -1); i >= 2; i--) {
		lua_rawgeti(L, -1, (int)i);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_pushstring(L, lua_dir); /* nil for NULL */
	lua_pushcclosure(L, state_library_loader, 1);
	lua_rawseti(L, -2, 2);
	lua_pop(L, 1); /* package */
}

/* Drop the relative entries of a search path, then set it with `first` before it. */
TF_RAISES static void state_prefix_path(lua_State *L, const char *field, const char *first)
{
	luaL_Buffer b;
	lua_getfield(L, -1, field); /* package, path */
	const char *path = luaL_optstring(L, -1, "");
	luaL_buffinit(L, &b);
	luaL_addstring(&b, first);
	bool empty = !*first;
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, ";");
		if (n > 0 && *at != '.') {
			if (!empty)
				luaL_addchar(&b, ';');
			luaL_addlstring(&b, at, n);
			empty = false;
		}
		at += n + (at[n] == ';');
	}
	luaL_pushresult(&b);        /* package, path, new */
	lua_setfield(L, -3, field); /* package, path */
	lua_pop(L, 1);              /* package */
}

/* No script may take the name of a standard module or of one of the library. */
TF_RAISES static void state_reserve_names(lua_State *L)
{
	lua_newtable(L); /* files */
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_pushnil(L);
	while (lua_next(L, -2)) { /* files, loaded, name, module */
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_pushliteral(L, "");
		lua_rawset(L, -5);
	}
	lua_pop(L, 1); /* files */
	for (const struct luaL_Reg *m = state_modules; m->name; m++) {
		lua_pushliteral(L, "");
		lua_setfield(L, -2, m->name);
	}
	for (const struct tf_embed *m = tf_embed_modules; m->name; m++) {
		lua_pushliteral(L, "");
		lua_setfield(L, -2, m->name);
	}
	lua_setfield(L, LUA_REGISTRYINDEX, STATE_FILES);
}

TF_RAISES static int state_open(lua_State *L)
{
	const char *lua_dir = lua_touserdata(L, 1);
	luaL_openlibs(L);
	tf_traversal_open(L);
	tf_finalizers_open(L);
	tf_value_lua_open(L);
	state_reserve_names(L);
	lua_getglobal(L, "package");    /* package */
	lua_getfield(L, -1, "preload"); /* package, preload */
	for (const struct luaL_Reg *m = state_modules; m->name; m++) {
		lua_pushcfunction(L, m->func);
		lua_setfield(L, -2, m->name);
	}
	lua_pop(L, 1); /* package */
	state_add_loader(L, lua_dir);
	tf_sources_open(L, STATE_FILE_LOADER);
	state_prefix_path(L, "path", "./?.lua;./?/init.lua");
	state_prefix_path(L, "cpath", "");
	return 0;
}

int tf_state_new(const struct tf_state_options *options, struct lua_State **out, struct tf_err *err)
{
	const char *lua_dir = options ? options->lua_dir : NULL;
	if (!lua_dir)
		lua_dir = getenv("TFHOST_LUA_DIR");
	if (lua_dir && !*lua_dir)
		lua_dir = NULL;
	lua_State *L = luaL_newstate();
	if (!L)
		return tf_err_set(err, TF_ELUA, "cannot make a Lua state: out of memory");
	if (options && options->makes_flows)
		lua_gc(L, LUA_GCSETPAUSE, STATE_FLOWS_PAUSE);
	int rc = tf_call_protected(L, state_open, (void *)(uintptr_t)lua_dir, err);
	if (rc < 0) {
		lua_close(L);
		return tf_err_prefix(err, "opening the Lua libraries");
	}
	*out = L;
	return 0;
}

void tf_state_delete(struct lua_State *L)
{
	if (L)
		lua_close(L);
}

TF_RAISES static int state_add_dir(lua_State *L)
{
	const char *dir = lua_touserdata(L, 1);
	lua_getglobal(L, "package"); /* package */
	lua_getfield(L, -1, "path"); /* package, path */
	const char *path = luaL_optstring(L, -1, "");
	const char *first =
		lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;", dir, dir); /* package, path, first */
	if (!strncmp(path, first, strlen(first)))
		return 0;
	lua_pushfstring(L, "%s%s", first, path); /* package, path, first, new */
	lua_setfield(L, 1 + 1, "path");
	return 0;
}

void tf_state_add_dir(struct lua_State *L, const char *dir)
{
	struct tf_err err;
	if (strpbrk(dir, ";?"))
		tf_warn("script",
			"modules beside the script are not found: its directory \"%s\" has a ';' or '?'",
			dir);
	else if (tf_call_protected(L, state_add_dir, (void *)(uintptr_t)dir, &err) < 0)
		tf_warn("script", "cannot add \"%s\" to package.path: %s", dir, err.message);
}

TF_RAISES static int state_set_path(lua_State *L)
{
	lua_getglobal(L, "package");
	lua_pushstring(L, lua_touserdata(L, 1));
	lua_setfield(L, -2, "path");
	return 0;
}

void tf_state_set_path(struct lua_State *L, const char *path)
{
	struct tf_err err;
	if (tf_call_protected(L, state_set_path, (void *)(uintptr_t)path, &err) < 0)
		tf_warn("script", "cannot set package.path: %s", err.message);
}

/* What a reference names, taken apart. Strings owned. */
struct state_reference {
	char *path; /* of a file; NULL: a module */
	char *module;
	char *name;        /* NULL: none */
	bool name_missing; /* out: the module has no such field */
};

static bool state_ends(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);
	return n > t && !strcmp(s + n - t, tail);
}

static int state_parse(const char *reference, struct state_reference *out, struct tf_err *err)
{
	*out = (struct state_reference){0};
	const char *colon = state_ends(reference, ".lua") ? NULL : strrchr(reference, ':');
	char *base = colon ? tf_strndup(reference, (size_t)(colon - reference)) : tf_strdup(reference);
	if (colon)
		out->name = tf_strdup(colon + 1);
	if (!*base || (colon && !*out->name)) {
		free(base);
		return tf_err_set(err, TF_EINVAL,
			"script reference \"%s\": expected FILE.lua, MODULE, or either with :NAME after it",
			reference);
	}
	if (!state_ends(base, ".lua")) {
		if (!strchr(base, '/')) {
			out->module = base;
			return 0;
		}
		char *file = tf_asprintf("%s.lua", base); /* a path without its ending */
		free(base);
		base = file;
	}
	const char *slash = strrchr(base, '/');
	const char *file = slash ? slash + 1 : base;
	out->path = base;
	out->module = tf_strndup(file, strlen(file) - strlen(".lua"));
	if (!*out->module)
		return tf_err_set(
			err, TF_EINVAL, "script reference \"%s\": the file has no base name", reference);
	return 0;
}

static void state_reference_free(struct state_reference *ref)
{
	free(ref->path);
	free(ref->module);
	free(ref->name);
}

static bool state_same_file(const char *a, const char *b)
{
	char ra[PATH_MAX], rb[PATH_MAX];
	return realpath(a, ra) && realpath(b, rb) && !strcmp(ra, rb);
}

/* Whether package.loaded[ref->module], which is set, came from ref->path. */
TF_RAISES static bool state_is_loaded_from(lua_State *L, const struct state_reference *ref)
{
	int top = lua_gettop(L);
	lua_getfield(L, LUA_REGISTRYINDEX, STATE_FILES);
	lua_getfield(L, -1, ref->module); /* files, path */
	if (!lua_isstring(L, -1)) {       /* it came by require: where would that find it? */
		lua_getglobal(L, "package");
		lua_getfield(L, -1, "searchpath");
		lua_pushstring(L, ref->module);
		lua_getfield(L, -3, "path");
		lua_call(L, 2, 1); /* ..., path or nil */
	}
	const char *path = lua_tostring(L, -1);
	bool same = path && state_same_file(path, ref->path);
	lua_settop(L, top);
	return same;
}

/* A file goes through require as well, from package.preload, so that circular requires and a second
 * load by another way behave as for any module. */
TF_RAISES static void state_prepare_file(lua_State *L, const struct state_reference *ref)
{
	int top = lua_gettop(L);
	lua_getfield(L, LUA_REGISTRYINDEX, STATE_FILES);
	lua_getfield(L, -1, ref->module); /* files, path */
	bool taken = lua_isstring(L, -1) && !*lua_tostring(L, -1);
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, ref->module); /* files, path, loaded, module */
	bool loaded = lua_toboolean(L, -1);
	if (taken || (loaded && !state_is_loaded_from(L, ref)))
		luaL_error(L, "%s: another module is named '%s'; give the file another name", ref->path,
			ref->module);
	if (!loaded) {
		lua_getglobal(L, "package");
		lua_getfield(L, -1, "preload"); /* ..., preload */
		if (tf_sources_load(L, ref->path))
			lua_error(L);
		lua_setfield(L, -2, ref->module);
		lua_pushstring(L, ref->path);
		lua_setfield(L, top + 1, ref->module);
	}
	lua_settop(L, top);
}

/* Stack: module name at the top. Pushes its path, or nil for a module of the library or of the system. */
TF_RAISES static void state_path_of(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, STATE_FILES); /* name, files */
	lua_pushvalue(L, -2);
	lua_rawget(L, -2); /* name, files, path */
	lua_remove(L, -2);
	if (lua_isstring(L, -1)) {
		if (!*lua_tostring(L, -1)) {
			lua_pop(L, 1);
			lua_pushnil(L);
		}
		return;
	}
	lua_pop(L, 1);
	lua_getglobal(L, "package"); /* name, package */
	lua_getfield(L, -1, "searchpath");
	lua_pushvalue(L, -3);
	lua_getfield(L, -3, "path"); /* name, package, searchpath, name, path */
	lua_call(L, 2, 1);
	lua_remove(L, -2); /* name, path or nil */
}

void tf_state_push_scripts(lua_State *L)
{
	luaL_checkstack(L, 10, "scripts");
	lua_newtable(L); /* out */
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_pushnil(L);
	while (lua_next(L, -2)) { /* out, loaded, name, module */
		char real[PATH_MAX];
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			continue;
		state_path_of(L); /* out, loaded, name, path */
		if (lua_isstring(L, -1) && realpath(lua_tostring(L, -1), real)) {
			lua_pushvalue(L, -2);
			lua_pushstring(L, real);
			lua_rawset(L, -6);
		}
		lua_pop(L, 1); /* out, loaded, name */
	}
	lua_pop(L, 1);
}

/* (reference) -> what it names */
TF_RAISES static int state_load(lua_State *L)
{
	struct state_reference *ref = lua_touserdata(L, 1);
	if (ref->path)
		state_prepare_file(L, ref);
	lua_getglobal(L, "require");
	lua_pushstring(L, ref->module);
	lua_call(L, 1, 1); /* ref, module */
	if (!ref->name)
		return 1;
	if (lua_istable(L, -1))
		lua_getfield(L, -1, ref->name); /* ref, module, field */
	else
		lua_pushnil(L);
	ref->name_missing = lua_isnil(L, -1);
	return 1;
}

int tf_state_load(struct lua_State *L, const char *reference, char **module, char **name, struct tf_err *err)
{
	struct state_reference ref;
	int rc = state_parse(reference, &ref, err);
	if (rc < 0)
		goto out;
	if (ref.path) {
		const char *slash = strrchr(ref.path, '/');
		char *dir = slash ? tf_strndup(ref.path, slash == ref.path ? 1 : (size_t)(slash - ref.path))
				  : tf_strdup(".");
		tf_state_add_dir(L, dir);
		free(dir);
	}
	lua_pushcfunction(L, state_load);
	lua_pushlightuserdata(L, &ref);
	rc = tf_call(L, 1, 1, err);
	if (rc < 0) {
		/* A tail call, as `return Flow(...):add(...)`, leaves no line to name. */
		if (!strstr(err->message, ".lua:"))
			tf_err_prefix(err, "%s", ref.path ? ref.path : ref.module);
		goto out;
	}
	if (ref.name_missing) {
		lua_pop(L, 1);
		rc = tf_err_set(err, TF_ENOTFOUND, "script reference \"%s\": %s has no field \"%s\"",
			reference, ref.path ? ref.path : ref.module, ref.name);
		goto out;
	}
	if (module) {
		*module = ref.module;
		ref.module = NULL;
	}
	if (name) {
		*name = ref.name;
		ref.name = NULL;
	}
out:
	state_reference_free(&ref);
	return rc;
}
