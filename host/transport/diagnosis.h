/* What `tfhost doctor` finds out about a transport before anybody works with it. To look is to connect, and to make things
 * that are taken away again: a private queue, a file; nothing that is there is changed. */
#ifndef TF_TRANSPORT_DIAGNOSIS_H
#define TF_TRANSPORT_DIAGNOSIS_H

#include "transport/transport.h"

/* UNSEEN: it matters, and cannot be seen from here. */
#define TF_FINDINGS(X) X(OK, "ok") X(UNSEEN, "unseen") X(WARNING, "warning") X(PROBLEM, "problem")
enum tf_finding {
#define X(name, text) TF_FINDING_##name,
	TF_FINDINGS(X)
#undef X
};

struct tf_diagnosis {
	/* `check` is a word or two, `advice` what to do, or NULL. Borrowed. */
	void (*found)(
		void *arg, enum tf_finding what, const char *check, const char *text, const char *advice);
	void *arg;
};

void tf_found(const struct tf_diagnosis *d, enum tf_finding what, const char *check, const char *advice,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Look at the transport of this configuration as peers on these topics (NULL-terminated) would meet it. Blocks, as long as a
 * connection may take and a few seconds. */
void tf_transport_diagnose(
	const struct tf_transport_config *config, const char *const *topics, const struct tf_diagnosis *d);

#endif
