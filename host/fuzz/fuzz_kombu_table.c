/* Any bytes as an exchange table: read or refused; a row that was added is found in what was written. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "transport/kombu_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const char *routing_key, const char *pattern, const char *queue)
{
	TF_ASSERT(routing_key && pattern && queue);
	++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tf_buf next = TF_BUF_INIT, last = TF_BUF_INIT;
	struct tf_err err;
	size_t before = 0, after = 0;
	int rc;
	char *text = tf_malloc(size ? size : 1); /* exact: over-reads show */

	if (size)
		memcpy(text, data, size);
	rc = tf_kombu_table_read(text, size, count, &before, &err);
	if (rc == 0) {
		if (tf_kombu_table_add(text, size, "key", "ex_key", &next)) {
			TF_ASSERT(tf_kombu_table_read(next.data, next.len, count, &after, &err) == 0);
			TF_ASSERT(after == before + 1);
			TF_ASSERT(!tf_kombu_table_add(next.data, next.len, "key", "ex_key", &last));
		}
	} else {
		TF_ASSERT(err.code == rc && (rc == TF_EFORMAT || rc == TF_ELIMIT));
	}
	tf_buf_free(&next);
	free(text);
	return 0;
}
