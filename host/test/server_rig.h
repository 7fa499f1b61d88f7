/* The worker's side (wbe/server.h) over a scripted transport, a scripted pool, and a clock that the test steps. */
#ifndef TF_TEST_SERVER_RIG_H
#define TF_TEST_SERVER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock_fake.h"
#include "fake_pool.h"
#include "fake_wire.h"
#include "wbe/server.h"
#include "wbe_names.h"

#define ENGINE FLOW
#define ENGINE2 "7227eb8f-222c-44bd-8b77-78f8133307bb"
#define HEADER "{\"v\":1,\"round\":1,\"dispatch\":1}"
#define AGAIN "{\"v\":1,\"round\":1,\"dispatch\":2}"
#define RUNNING "{\"state\": \"RUNNING\", \"data\": {}}"
#define EXECUTE \
	"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0], " \
	"\"action\": \"execute\", \"arguments\": {\"a\": 1}}"

/* All zero is a good start; the test fills in what it wants otherwise, then opens it. */
struct server_rig {
	struct tf_loop *loop;
	struct tf_clock_fake clock;
	struct tf_server *s;
	struct fake_wire *wire;
	struct fake_pool *pool;
	struct tf_server_config config; /* topic "tasks"; two slots unless told */
	const char *const *classes;     /* m.T and m.U unless told; NULL-terminated */
	const char *limited;            /* class that says this of itself */
	struct tf_class_limits class_limits;
	bool tracks; /* the transport does: see fake_wire_tracks() */
	size_t readies, stops;
	struct tf_err stop_err;
	bool delete_in_stopped;
};

/* Neither connected nor loaded yet. */
void server_make(struct server_rig *r);
/* Made, connected, scripts loaded. */
void server_open(struct server_rig *r);
/* All of it: the rig is zero again. */
void server_close(struct server_rig *r);
void server_pass(struct server_rig *r, uint64_t ms);

/* A message of ENGINE to the topic; its delivery tag. `peer`: the header of tfhost, or NULL. */
uint64_t server_deliver(struct server_rig *r, const char *type, const char *id, const char *peer,
	const char *body, bool redelivered);
/* EXECUTE, for the first time. */
uint64_t server_request(struct server_rig *r, const char *id, const char *peer);

/* Take the next message and check what it is; its publish id. */
uint64_t server_expect(struct server_rig *r, const char *type, const char *id, const char *body);
/* A task runs, longer than a turn of the loop: an engine of our kind is told, too. */
void server_begin(struct server_rig *r, size_t i);
/* The oldest one ends well, which is taken and confirmed. */
void server_finish(struct server_rig *r, const char *id, const char *result);
struct tf_server_stats server_stats(struct server_rig *r);

#endif
