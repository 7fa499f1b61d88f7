#include "wbe/reloader.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/watch.h"

struct tf_reloader {
	struct tf_generations *generations; /* borrowed; NULL: not attached yet */
	struct tf_watch *watch;             /* NULL: none */
	struct tf_signal *hup;
	bool warned;
};

/* Most changes are over by now: the scripts are loaded while it is waited for more, and that is thrown away if more comes. */
static void on_early(void *arg)
{
	struct tf_reloader *r = arg;
	const struct tf_reload how = {.if_new = true, .hold = true, .since_ms = tf_watch_since(r->watch)};
	if (r->generations)
		tf_generations_reload(r->generations, &how);
}

static void on_changed(void *arg)
{
	struct tf_reloader *r = arg;
	const struct tf_reload how = {.if_new = true, .since_ms = tf_watch_since(r->watch)};
	tf_debug("reload", "scripts have changed");
	if (!r->generations || (tf_watch_early_holds(r->watch) && tf_generations_release(r->generations)))
		return;
	tf_generations_reload(r->generations, &how);
}

static void on_hup(void *arg, int signo)
{
	struct tf_reloader *r = arg;
	const struct tf_reload how = {0};
	(void)signo;
	tf_info("reload", "HUP: loading the scripts again");
	if (r->generations)
		tf_generations_reload(r->generations, &how);
}

static void on_loaded(void *arg)
{
	struct tf_reloader *r = arg;
	struct tf_err err;
	if (!r->watch || tf_watch_set(r->watch, tf_generations_files(r->generations), &err) == 0 || r->warned)
		return;
	r->warned = true;
	tf_warn("reload", "%s; HUP or `tfhost reload` loads changed scripts", err.message);
}

struct tf_reloader *tf_reloader_new(struct tf_loop *loop, bool watch)
{
	struct tf_err err;
	struct tf_reloader *r = TF_NEW(struct tf_reloader);
	r->hup = tf_signal_new(loop, SIGHUP, on_hup, r);
	if (watch && tf_watch_new(loop, on_changed, r, &r->watch, &err) < 0)
		tf_warn("reload", "%s; HUP or `tfhost reload` loads changed scripts", err.message);
	else if (watch)
		tf_watch_on_early(r->watch, on_early);
	return r;
}

void tf_reloader_attach(struct tf_reloader *r, struct tf_generations *g)
{
	r->generations = g;
	tf_generations_on_load(g, on_loaded, r);
}

bool tf_reloader_watches(const struct tf_reloader *r)
{
	return r->watch != NULL;
}

void tf_reloader_delete(struct tf_reloader *r)
{
	if (!r)
		return;
	if (r->generations)
		tf_generations_on_load(r->generations, NULL, NULL);
	tf_watch_delete(r->watch);
	tf_signal_delete(r->hup);
	free(r);
}
