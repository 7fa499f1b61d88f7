/* What engine and worker side take from outside and a test replaces: time and the transport. */
#ifndef TF_WBE_SEAM_H
#define TF_WBE_SEAM_H

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/transport.h"

struct tf_wbe_seam {
	const struct tf_clock *clock;
	/* Like tf_transport_open. */
	int (*open)(struct tf_loop *loop, const struct tf_transport_config *config,
		const struct tf_transport_events *events, void *arg, struct tf_transport **out,
		struct tf_err *err);
};

/* All tfhost workers of a topic, as a group of the transport; NULL if that would be too long a name. Caller frees. */
static inline char *tf_wbe_group(const char *topic)
{
	return strlen(topic) < 128 ? tf_asprintf("tfhost-workers_%s", topic) : NULL;
}

#endif
