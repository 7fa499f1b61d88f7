#include "script/sources.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/mem.h"

#define SOURCES_KEY "tfhost.sources"
enum {
	SOURCES_MAX = 64 << 20, /* bytes of one script */
	SOURCES_FILES = 10000,  /* more are not noted */
	SOURCES_CHUNK = 16 << 10,
};
/* FNV-1a, 64 bits. */
#define HASH_BEGIN 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u

struct sources {
	char **files; /* owned */
	size_t count;
	uint64_t hash;
};

static struct sources *sources_of(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, SOURCES_KEY);
	struct sources *s = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return s;
}

static void sources_note(struct sources *s, const char *path)
{
	char cwd[PATH_MAX];
	while (!strncmp(path, "./", 2))
		path += 2;
	char *full =
		*path != '/' && getcwd(cwd, sizeof(cwd)) ? tf_asprintf("%s/%s", cwd, path) : tf_strdup(path);
	size_t i = 0;
	while (i < s->count && strcmp(s->files[i], full) != 0)
		i++;
	if (i < s->count || s->count == SOURCES_FILES) {
		free(full);
		return;
	}
	s->files = tf_realloc(s->files, (s->count + 1) * sizeof(*s->files));
	s->files[s->count++] = full;
}

static void sources_hash(struct sources *s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ (unsigned char)bytes[i]) * HASH_PRIME;
}

/* Its bytes into `out`; false with errno. */
static bool sources_read(const char *path, struct tf_buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;
	if (!f)
		return false;
	do {
		tf_buf_reserve(out, SOURCES_CHUNK);
		n = fread(out->data + out->len, 1, SOURCES_CHUNK, f);
		out->len += n;
	} while (n > 0 && out->len <= SOURCES_MAX);
	int error = ferror(f) ? errno : out->len > SOURCES_MAX ? EFBIG : 0;
	fclose(f);
	errno = error;
	return error == 0;
}

int tf_sources_load(lua_State *L, const char *path)
{
	struct sources *s = sources_of(L);
	struct tf_buf text = TF_BUF_INIT;
	const char *slash = strrchr(path, '/');
	sources_note(s, path);
	if (!sources_read(path, &text)) {
		int error = errno;
		tf_buf_free(&text);
		lua_pushfstring(L, "cannot open %s: %s", path, strerror(error));
		return LUA_ERRFILE;
	}
	uint64_t length = text.len;
	sources_hash(s, slash ? slash + 1 : path, strlen(slash ? slash + 1 : path) + 1);
	sources_hash(s, (const char *)&length, sizeof(length));
	sources_hash(s, text.len ? text.data : "", text.len);
	size_t skip = 0; /* "#!/usr/bin/env tfhost": the line goes, its end stays */
	if (text.len && text.data[0] == '#')
		skip = strcspn(text.data, "\n");
	char *name = tf_asprintf("@%s", path);
	int rc = luaL_loadbuffer(L, text.len ? text.data + skip : "", text.len - skip, name);
	free(name);
	tf_buf_free(&text);
	return rc;
}

/* (module name) -> chunk, or why not. A package.loaders function. */
TF_RAISES static int sources_search(lua_State *L)
{
	const char *rel = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/"); /* name, rel */
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path"); /* name, rel, package, path */
	const char *path = lua_tostring(L, -1);
	if (!path)
		return luaL_error(L, "'package.path' must be a string");
	lua_pushliteral(L, ""); /* ..., tried */
	while (*path) {
		size_t n = strcspn(path, ";");
		lua_pushlstring(L, path, n);
		const char *file =
			luaL_gsub(L, lua_tostring(L, -1), "?", rel); /* ..., tried, template, file */
		path += n + (path[n] == ';');
		if (n == 0) {
			lua_pop(L, 2);
			continue;
		}
		sources_note(sources_of(L), file);
		if (access(file, R_OK) == 0) {
			if (tf_sources_load(L, file))
				return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s",
					lua_tostring(L, 1), file, lua_tostring(L, -1));
			return 1;
		}
		lua_pushfstring(L, "%s\n\tno file '%s'", lua_tostring(L, -3), file);
		lua_replace(L, -4);
		lua_pop(L, 2);
	}
	return 1;
}

/* loadfile(path). Upvalue 1: Lua's own, for what is no file. */
TF_RAISES static int sources_loadfile(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TSTRING || lua_gettop(L) > 1) {
		lua_pushvalue(L, lua_upvalueindex(1));
		lua_insert(L, 1);
		if (lua_type(L, 2) == LUA_TSTRING)
			sources_note(sources_of(L), lua_tostring(L, 2));
		lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
		return lua_gettop(L);
	}
	if (tf_sources_load(L, lua_tostring(L, 1)) == 0)
		return 1;
	lua_pushnil(L);
	lua_insert(L, -2);
	return 2;
}

TF_RAISES static int sources_dofile(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TSTRING) {
		lua_pushvalue(L, lua_upvalueindex(1));
		lua_insert(L, 1);
		lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
		return lua_gettop(L);
	}
	lua_settop(L, 1);
	if (tf_sources_load(L, lua_tostring(L, 1)))
		return lua_error(L);
	lua_call(L, 0, LUA_MULTRET);
	return lua_gettop(L) - 1;
}

static int sources_gc(lua_State *L)
{
	struct sources *s = lua_touserdata(L, 1);
	for (size_t i = 0; i < s->count; i++)
		free(s->files[i]);
	free(s->files);
	return 0;
}

void tf_sources_open(lua_State *L, int index)
{
	int top = lua_gettop(L);
	struct sources *s = lua_newuserdata(L, sizeof(*s)); /* s */
	*s = (struct sources){.hash = HASH_BEGIN};
	lua_newtable(L);
	lua_pushcfunction(L, sources_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_setfield(L, LUA_REGISTRYINDEX, SOURCES_KEY); /* (empty) */
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "loaders"); /* package, loaders */
	lua_pushcfunction(L, sources_search);
	lua_rawseti(L, -2, index);
	lua_getglobal(L, "loadfile");
	lua_pushcclosure(L, sources_loadfile, 1);
	lua_setglobal(L, "loadfile");
	lua_getglobal(L, "dofile");
	lua_pushcclosure(L, sources_dofile, 1);
	lua_setglobal(L, "dofile");
	lua_settop(L, top);
}

char **tf_sources_list(lua_State *L, char *hash)
{
	const struct sources *s = sources_of(L);
	char **files = tf_calloc(s->count + 1, sizeof(*files));
	for (size_t i = 0; i < s->count; i++)
		files[i] = tf_strdup(s->files[i]);
	if (hash)
		snprintf(hash, TF_SOURCES_HASH, "%016" PRIx64, s->hash);
	return files;
}

void tf_sources_put(lua_State *L, struct tf_buf *out)
{
	const struct sources *s = sources_of(L);
	for (size_t i = 0; i < s->count; i++)
		tf_buf_append(out, s->files[i], strlen(s->files[i]) + 1);
}
