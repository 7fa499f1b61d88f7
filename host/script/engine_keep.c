/* An engine and its logbook. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/backend_lua.h"
#include "script/bind.h"
#include "script/detail_lua.h"
#include "script/engine_handle.h"

int tf_engine_keep_open(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	const char *uuid = tf_bind_string(L, index, "flow_uuid");
	if (uuid && strlen(uuid) > TF_UUID_LEN)
		return tf_err_set(err, TF_EINVAL, "'%s' is no uuid", uuid);
	if (uuid)
		memcpy(h->flow_uuid, uuid, strlen(uuid) + 1);
	else
		tf_uuid(h->flow_uuid);
	lua_getfield(L, index, "backend");
	struct tf_backend *b = lua_isnil(L, -1) ? NULL : tf_backend_lua_check(L, lua_gettop(L));
	lua_pop(L, 1);
	if (!b)
		return 0;
	int rc = b->ops->lock(b, h->flow_uuid, err);
	if (rc == 0)
		h->backend = tf_backend_ref(b);
	return rc;
}

void tf_engine_keep_close(struct tf_engine_handle *h)
{
	if (!h->backend)
		return;
	h->backend->ops->unlock(h->backend, h->flow_uuid);
	tf_backend_close(h->backend);
}

/* For the tests of resumption: die right after the n-th commit. */
static void die_at_commit(struct tf_engine_handle *h)
{
	const char *at = getenv("TFHOST_TEST_KILL_AT_COMMIT");
	if (at && ++h->commits == strtoul(at, NULL, 10))
		kill(getpid(), SIGKILL);
}

static int keep(void *arg, const struct tf_flow_change *c, struct tf_err *err)
{
	struct tf_engine_handle *h = arg;
	const struct tf_save save = {.flow_uuid = h->flow_uuid,
		.flow_state = c->state,
		.atoms = c->atoms,
		.count = c->count,
		.fresh = c->fresh};
	uint64_t began = tf_clock_us();
	int rc = h->backend->ops->save(h->backend, &save, err);
	tf_histogram_add(&h->commit, tf_clock_us() - began);
	if (rc == 0)
		die_at_commit(h);
	return rc;
}

struct tf_engine_events tf_engine_keep_events(const struct tf_engine_handle *h)
{
	struct tf_engine_events events = tf_engine_handle_events;
	if (h->backend)
		events.keep = keep;
	return events;
}

struct kept {
	char *state;
	struct tf_atom_detail *atoms;
	size_t count, cap;
};

static void take_flow(void *arg, struct tf_flow_detail *d)
{
	struct kept *k = arg;
	free(k->state);
	k->state = d->state;
	d->state = NULL;
}

static void take_atom(void *arg, struct tf_atom_detail *d)
{
	struct kept *k = arg;
	if (k->count == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 16;
		k->atoms = tf_realloc(k->atoms, k->cap * sizeof *k->atoms);
	}
	k->atoms[k->count++] = *d;
	*d = (struct tf_atom_detail){0};
}

int tf_engine_keep_load(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	struct kept k = {0};
	int rc = 0;
	if (h->backend) {
		rc = h->backend->ops->flows(h->backend, NULL, h->flow_uuid, take_flow, &k, err);
		if (rc == 0)
			rc = h->backend->ops->atoms(h->backend, h->flow_uuid, NULL, take_atom, &k, err);
	} else {
		const char *state = tf_bind_string(L, index, "flow_state");
		lua_getfield(L, index, "details");
		if (lua_istable(L, -1) && !(k.atoms = tf_detail_lua_atoms(L, lua_gettop(L), &k.count, err)))
			rc = err->code;
		lua_pop(L, 1);
		k.state = state ? tf_strdup(state) : NULL;
	}
	if (rc == 0 && (k.state || k.count))
		rc = tf_engine_load(h->engine, k.state, k.atoms, k.count, err);
	tf_detail_lua_atoms_free(k.atoms, k.count);
	free(k.state);
	return rc;
}
