/* Any text as the header of a tfhost peer: ignored, or understood the same way again when written. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "protocol/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = tf_strndup((const char *)data, size), written[TF_PEER_MAX], again[TF_PEER_MAX];
	const struct tf_peer p = tf_peer_parse(text);
	if (p.present) {
		const struct tf_peer q = tf_peer_parse(tf_peer_write(&p, written));
		TF_ASSERT(q.present && strcmp(tf_peer_write(&q, again), written) == 0);
		TF_ASSERT(!p.worker[0] || tf_peer_is_uuid(p.worker));
	} else {
		TF_ASSERT(p.round == -1 && p.dispatch == -1 && p.action == -1 && !p.worker[0] && !p.host[0]);
	}
	free(text);
	return 0;
}
