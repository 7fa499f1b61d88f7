/* Any bytes as the body of each message: refused with a story, or taken; what is taken can be sent,
 * reads back the same, and is nothing that a Python peer dies of. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/failure.h"
#include "protocol/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written, read and written again it is the same. */
#define CHECK_TWICE(name, first) \
	do { \
		struct tf_buf one = TF_BUF_INIT, two = TF_BUF_INIT; \
		struct tf_##name again; \
		tf_##name##_write(&(first), &one); \
		TF_ASSERT(tf_##name##_parse(one.data, one.len, &again, NULL) == 0); \
		tf_##name##_write(&again, &two); \
		TF_ASSERT(one.len == two.len && memcmp(one.data, two.data, one.len) == 0); \
		tf_##name##_free(&again); \
		tf_buf_free(&one); \
		tf_buf_free(&two); \
	} while (0)

static void request(const char *body, size_t len)
{
	struct tf_request r;
	struct tf_err err;
	int rc = tf_request_parse(body, len, &r, &err);
	if (rc < 0) {
		TF_ASSERT((rc == TF_EFORMAT || rc == TF_ELIMIT) && err.message[0] && !r.task_cls);
		return;
	}
	TF_ASSERT(r.task_cls && r.task_name && r.task_version && r.arguments);
	TF_ASSERT(r.has_result == (r.result != NULL) && (r.has_result || !r.result_failed));
	if (r.result_failed)
		TF_ASSERT(tf_failure_check_schema(tf_value_json(r.result), NULL) == 0);
	CHECK_TWICE(request, r);
	struct tf_request copy;
	tf_request_copy(&r, &copy);
	tf_request_free(&r);
	tf_message_check_value(tf_value_json(copy.arguments), NULL);
	tf_request_free(&copy);
}

static void response(const char *body, size_t len)
{
	struct tf_response r;
	struct tf_err err;
	int rc = tf_response_parse(body, len, &r, &err);
	if (rc < 0) {
		TF_ASSERT((rc == TF_EFORMAT || rc == TF_ELIMIT) && err.message[0] && !r.result);
		return;
	}
	TF_ASSERT((r.result != NULL) == (r.state == TF_RESPONSE_SUCCESS || r.state == TF_RESPONSE_FAILURE));
	if (r.state == TF_RESPONSE_FAILURE) { /* fit for a revert request */
		struct tf_json dict = tf_value_json(r.result);
		TF_ASSERT(tf_failure_check_schema(dict, NULL) == 0 &&
			  tf_failure_check_reconstruct(dict, NULL) == 0);
		char *summary = tf_failure_summary(dict);
		free(summary);
		struct tf_value *same = tf_failure_normalise(dict);
		TF_ASSERT(tf_value_len(same) == tf_value_len(r.result) &&
			  memcmp(tf_value_text(same), tf_value_text(r.result), tf_value_len(same)) == 0);
		tf_value_unref(same);
	}
	if (r.state == TF_RESPONSE_EVENT)
		TF_ASSERT(r.event_type && tf_json_type(tf_value_json(r.details)) == TF_JSON_OBJECT);
	CHECK_TWICE(response, r);
	tf_response_free(&r);
}

static void notify(const char *body, size_t len)
{
	struct tf_notify n;
	struct tf_err err;
	int rc = tf_notify_parse(body, len, &n, &err);
	if (rc < 0) {
		TF_ASSERT((rc == TF_EFORMAT || rc == TF_ELIMIT) && err.message[0] && !n.tasks);
		return;
	}
	TF_ASSERT(n.answer == (n.topic != NULL));
	CHECK_TWICE(notify, n);
	tf_notify_free(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size: reading past it is seen. */
	char *body = tf_malloc(size ? size : 1);
	if (size)
		memcpy(body, data, size);
	request(body, size);
	response(body, size);
	notify(body, size);
	free(body);
	return 0;
}
