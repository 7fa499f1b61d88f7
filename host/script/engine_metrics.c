/* What an engine tells Prometheus: a page on its loop, as long as it is open. */
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/exposition.h"
#include "control/page.h"
#include "loop/lag.h"
#include "pool/metrics.h"
#include "script/bind.h"
#include "script/engine_handle.h"
#include "wbe/metrics.h"

static void put_atoms(const struct tf_engine_handle *h, struct tf_buf *out)
{
	unsigned counts[TF_STATE_COUNT] = {0};
	size_t n = tf_graph_atom_count(h->graph);
	for (size_t i = 0; i < n; i++)
		counts[tf_engine_atom_state(h->engine, (unsigned)i)]++;
	tf_expose_head(out, "tfhost_engine_atoms", "gauge", "Atoms of the flow by state.");
	for (int state = 0; state < TF_STATE_COUNT; state++)
		if (counts[state])
			tf_expose_sample(out, "tfhost_engine_atoms", counts[state], "state",
				tf_state_name((enum tf_state)state), NULL);
}

static void write_page(void *arg, struct tf_buf *out)
{
	const struct tf_engine_handle *h = arg;
	tf_expose_head(out, "tfhost_engine_info", "gauge", "Always 1; the labels say which flow this runs.");
	tf_expose_sample(
		out, "tfhost_engine_info", 1, "flow", h->flow_uuid, "name", tf_graph_name(h->graph), NULL);
	tf_expose_head(out, "tfhost_engine_flow_state", "gauge", "1 for the state that the flow is in.");
	tf_expose_sample(out, "tfhost_engine_flow_state", 1, "state",
		tf_state_name(tf_engine_flow_state(h->engine)), NULL);
	put_atoms(h, out);
	if (h->backend)
		tf_expose_histogram(out, "tfhost_engine_commit_seconds",
			"How long writing to the logbook took, each time.", &h->commit);
	if (h->worker_based)
		tf_executor_wbe_metrics(h->executor, out);
	else if (!h->serial)
		tf_executor_parallel_metrics(h->executor, out);
	tf_process_metrics(h->lag, out);
}

/* metrics(address) -> the page's URL | nil, message, code */
TF_RAISES int tf_engine_metrics(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	const struct tf_page_config config = {
		.address = luaL_checkstring(L, 2), .write = write_page, .arg = h};
	struct tf_err err;
	tf_engine_metrics_close(h);
	if (tf_page_new(h->loop, &config, &h->page, &err) < 0)
		return tf_bind_fail(L, &err);
	h->lag = tf_lag_new(h->loop);
	lua_pushstring(L, tf_page_url(h->page));
	return 1;
}

void tf_engine_metrics_close(struct tf_engine_handle *h)
{
	tf_page_delete(h->page);
	tf_lag_delete(h->lag);
	h->page = NULL;
	h->lag = NULL;
}
