#include "script/detail_lua.h"

#include <stdlib.h>
#include <string.h>

#include <lua.h>

#include "base/mem.h"

/* ---- from Lua: nothing here raises, for tables are plain, keys exist or not -------------------- */

static char *string_of(lua_State *L, int row, const char *key)
{
	lua_getfield(L, row, key);
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	char *copy = text ? tf_strdup(text) : NULL;
	lua_pop(L, 1);
	return copy;
}

static int value_of(lua_State *L, int row, const char *key, struct tf_value **out, struct tf_err *err)
{
	size_t len;
	lua_getfield(L, row, key);
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
	*out = text ? tf_value_parse(text, len, TF_JSON_DEPTH_CAP, err) : NULL;
	lua_pop(L, 1);
	return text && !*out ? tf_err_prefix(err, "%s", key) : 0;
}

static int read_atom(lua_State *L, int row, struct tf_atom_detail *d, struct tf_err *err)
{
	char *kind = string_of(L, row, "kind");
	*d = (struct tf_atom_detail){.uuid = string_of(L, row, "uuid"),
		.name = string_of(L, row, "name"),
		.version = string_of(L, row, "version"),
		.state = string_of(L, row, "state"),
		.intention = string_of(L, row, "intention"),
		.is_retry = kind && strcmp(kind, "RETRY_DETAIL") == 0};
	free(kind);
	int rc =
		d->uuid && d->name ? 0 : tf_err_set(err, TF_EINVAL, "an atom detail needs a uuid and a name");
	if (rc == 0)
		rc = value_of(L, row, "meta", &d->meta, err);
	if (rc == 0)
		rc = value_of(L, row, "results", &d->results, err);
	if (rc == 0)
		rc = value_of(L, row, "failure", &d->failure, err);
	if (rc == 0)
		rc = value_of(L, row, "revert_results", &d->revert_results, err);
	if (rc == 0)
		rc = value_of(L, row, "revert_failure", &d->revert_failure, err);
	return rc;
}

int tf_detail_lua_book(lua_State *L, int row, struct tf_book_detail *d, struct tf_err *err)
{
	*d = (struct tf_book_detail){.uuid = string_of(L, row, "uuid"), .name = string_of(L, row, "name")};
	return d->uuid ? value_of(L, row, "meta", &d->meta, err)
		       : tf_err_set(err, TF_EINVAL, "a logbook needs a uuid");
}

int tf_detail_lua_flow(lua_State *L, int row, struct tf_flow_detail *d, struct tf_err *err)
{
	*d = (struct tf_flow_detail){.uuid = string_of(L, row, "uuid"),
		.name = string_of(L, row, "name"),
		.state = string_of(L, row, "state")};
	return d->uuid ? value_of(L, row, "meta", &d->meta, err)
		       : tf_err_set(err, TF_EINVAL, "a flow detail needs a uuid");
}

struct tf_atom_detail *tf_detail_lua_atoms(lua_State *L, int list, size_t *count, struct tf_err *err)
{
	size_t n = lua_objlen(L, list);
	struct tf_atom_detail *rows = tf_calloc(n + 1, sizeof *rows);
	int rc = 0;
	for (*count = 0; *count < n && rc == 0; ++*count) {
		lua_rawgeti(L, list, (int)*count + 1);
		rc = lua_istable(L, -1) ? read_atom(L, lua_gettop(L), &rows[*count], err)
					: tf_err_set(err, TF_EINVAL, "an atom detail is a table");
		lua_pop(L, 1);
	}
	if (rc == 0)
		return rows;
	tf_detail_lua_atoms_free(rows, *count);
	return NULL;
}

void tf_detail_lua_atoms_free(struct tf_atom_detail *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tf_atom_detail_free(&rows[i]);
	free(rows);
}

/* ---- to Lua ------------------------------------------------------------------------------------ */

TF_RAISES static void set_string(lua_State *L, const char *key, const char *text)
{
	if (!text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

TF_RAISES static void set_value(lua_State *L, const char *key, const struct tf_value *v)
{
	if (!v)
		return;
	lua_pushlstring(L, tf_value_text(v), tf_value_len(v));
	lua_setfield(L, -2, key);
}

void tf_detail_lua_push_book(lua_State *L, const struct tf_book_detail *d)
{
	set_string(L, "uuid", d->uuid);
	set_string(L, "name", d->name);
	set_string(L, "created_at", d->created_at);
	set_string(L, "updated_at", d->updated_at);
	set_value(L, "meta", d->meta);
}

void tf_detail_lua_push_flow(lua_State *L, const struct tf_flow_detail *d)
{
	set_string(L, "uuid", d->uuid);
	set_string(L, "book", d->book);
	set_string(L, "name", d->name);
	set_string(L, "state", d->state);
	set_string(L, "created_at", d->created_at);
	set_string(L, "updated_at", d->updated_at);
	set_value(L, "meta", d->meta);
}

void tf_detail_lua_push_atom(lua_State *L, const struct tf_atom_detail *d)
{
	set_string(L, "uuid", d->uuid);
	set_string(L, "flow", d->flow);
	set_string(L, "name", d->name);
	set_string(L, "kind", d->is_retry ? "RETRY_DETAIL" : "TASK_DETAIL");
	set_string(L, "version", d->version);
	set_string(L, "state", d->state);
	set_string(L, "intention", d->intention);
	set_string(L, "created_at", d->created_at);
	set_string(L, "updated_at", d->updated_at);
	set_value(L, "results", d->results);
	set_value(L, "failure", d->failure);
	set_value(L, "revert_results", d->revert_results);
	set_value(L, "revert_failure", d->revert_failure);
	set_value(L, "meta", d->meta);
}
