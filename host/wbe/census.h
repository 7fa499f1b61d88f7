/* Who answers on some topics: asked once, over the transport, by no engine.
 *
 * Probes to a topic stand in line behind its requests, and one worker of those that share the topic answers each. So tfhost
 * workers are asked by their group (tf_wbe_group): all of them answer at once, with what they have to do. Where the transport
 * has no groups, that is the name of a queue that they share: they take turns, and are asked until no new one answers. Peers of
 * another kind answer on the topic itself, and do not say which of them they are. */
#ifndef TF_WBE_CENSUS_H
#define TF_WBE_CENSUS_H

#include "protocol/peer.h"
#include "transport/transport.h"

struct tf_census_config {
	struct tf_transport_config transport;
	const char *const *topics; /* NULL-terminated */
	uint64_t wait_ms;          /* for the connection and all answers */
};

struct tf_census_worker {
	const char *topic;
	const struct tf_peer *peer; /* not present: of another kind, one or more of them */
	char *const *classes;       /* NULL-terminated */
	size_t class_count;
	uint64_t answered_ms; /* from the question to the first answer */
	unsigned answers;
};

struct tf_census_visitor {
	void (*worker)(void *arg, const struct tf_census_worker *w); /* all borrowed */
	void (*nobody)(void *arg, const char *topic);                /* none has answered */
	void *arg;
};

/* Ask, wait, tell. Blocks; runs a loop of its own. TF_EINVAL: the configuration; TF_ETIMEOUT: no connection in time, and why. */
int tf_census(
	const struct tf_census_config *config, const struct tf_census_visitor *visitor, struct tf_err *err);

#endif
