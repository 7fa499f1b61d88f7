/* {} -> events until the other side hangs up: what happens to the worker and its requests (server.h, tf_server_witness).
 * {"uuid": U}: of requests whose atom or engine is U, or begins so. Who does not read fast enough misses events, and is told
 * how many: {"event": "missed", "count": 3}. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wbe/commands.h"

struct tf_follower {
	LIST_ENTRY(tf_follower) link;
	struct tf_worker_subject *worker;
	struct tf_control_call *call;
	char *uuid; /* owned; NULL: all */
	uint64_t missed;
};

static bool begins(struct tf_json event, const char *name, const char *with)
{
	struct tf_json v;
	char *text = tf_json_get(event, name, &v) ? tf_json_strdup(v, NULL) : NULL;
	bool yes = text && !strncmp(text, with, strlen(with));
	free(text);
	return yes;
}

static bool concerns(const struct tf_follower *f, const char *json, size_t len)
{
	struct tf_json event;
	return !f->uuid || (tf_json_validate(json, len, 0, &event, NULL) == 0 &&
				   (begins(event, "uuid", f->uuid) || begins(event, "engine", f->uuid)));
}

static void tell(struct tf_follower *f, const char *json, size_t len)
{
	char missed[64];
	if (!concerns(f, json, len))
		return;
	if (f->missed) {
		int n = snprintf(
			missed, sizeof(missed), "{\"event\": \"missed\", \"count\": %" PRIu64 "}", f->missed);
		if (tf_control_tell(f->call, missed, (size_t)n))
			f->missed = 0;
	}
	if (f->missed || !tf_control_tell(f->call, json, len))
		f->missed++;
}

static void on_event(void *arg, const char *json, size_t len)
{
	struct tf_worker_subject *w = arg;
	struct tf_follower *f;
	LIST_FOREACH(f, &w->followers, link)
	tell(f, json, len);
}

static void on_gone(void *arg)
{
	struct tf_follower *f = arg;
	struct tf_worker_subject *w = f->worker;
	LIST_REMOVE(f, link);
	if (LIST_EMPTY(&w->followers) && w->server)
		tf_server_watch(w->server, NULL, NULL);
	tf_control_answer(f->call, NULL);
	free(f->uuid);
	free(f);
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct tf_worker_subject *w = subject;
	struct tf_json uuid;
	struct tf_follower *f = TF_NEW(struct tf_follower);
	f->worker = w;
	f->call = call;
	if (tf_json_get(request, "uuid", &uuid) && tf_json_type(uuid) == TF_JSON_STRING)
		f->uuid = tf_json_strdup(uuid, NULL);
	LIST_INSERT_HEAD(&w->followers, f, link);
	tf_control_go_on(call, on_gone, f);
	tf_server_watch(w->server, on_event, w);
}

const struct tf_command tf_command_events = {
	.name = "events", .help = "tell what happens from now on, until the other side hangs up", .run = run};
