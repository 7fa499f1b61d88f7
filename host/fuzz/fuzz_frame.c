/* Any bytes from a slot, as the supervisor reads them: frame after frame, until one is refused. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "pool/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096 };

static void inspect_frame(const struct tf_frame *f, const char *from, size_t used)
{
	TF_ASSERT(f->type < TF_FRAME_TYPE_COUNT && f->count <= TF_FRAME_FIELDS);
	for (unsigned i = 0; i < f->count; i++) {
		TF_ASSERT(f->field[i].data >= from && f->field[i].data + f->field[i].len <= from + used);
		uint64_t number;
		if (tf_frame_get_u64(f, i, &number, NULL) == 0)
			TF_ASSERT(f->field[i].len == sizeof(number));
	}
	tf_frame_set_log_ids(f);
	struct tf_request request;
	if (tf_frame_get_request(f, &request, NULL) == 0) {
		TF_ASSERT(f->type == TF_FRAME_RUN && request.task_cls && request.arguments);
		tf_request_free(&request);
	}
	/* What was read is what its fields write. */
	struct tf_buf again = TF_BUF_INIT;
	TF_ASSERT(tf_frame_put(&again, LIMIT, f->type, f->id, f->field, NULL) == 0);
	TF_ASSERT(again.len == used && !memcmp(again.data, from, used));
	tf_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;
	for (;;) {
		struct tf_frame f;
		struct tf_err err = {0};
		size_t used;
		int rc = tf_frame_get(at, size, LIMIT, &f, &used, &err);
		if (rc < 0)
			TF_ASSERT((rc == TF_EFORMAT || rc == TF_ELIMIT) && err.message[0]);
		if (rc < 0 || used == 0)
			return 0;
		TF_ASSERT(used <= size);
		inspect_frame(&f, at, used);
		at += used;
		size -= used;
	}
}
