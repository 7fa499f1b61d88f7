/* Every recorded message: parsed as its receiver does, and written again byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "protocol/failure.h"
#include "protocol/message.h"
#include "vectors.h"

/* What json-c makes of our member must be what it made of the recorded one. */
static void same_member(struct json_object *body, const char *name, const struct tf_value *v)
{
	struct json_object *want, *have = json_tokener_parse(tf_value_text(v));
	assert_true(json_object_object_get_ex(body, name, &want));
	assert_true(json_object_equal(want, have));
	json_object_put(have);
}

static void check_request(const char *text, struct json_object *body, struct tf_buf *again)
{
	struct tf_request r;
	struct tf_err err;
	if (tf_request_parse(text, strlen(text), &r, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(r.task_cls, tf_vector_text(body, "task_cls"));
	assert_string_equal(r.task_name, tf_vector_text(body, "task_name"));
	assert_string_equal(tf_action_name(r.action), tf_vector_text(body, "action"));
	same_member(body, "arguments", r.arguments);
	same_member(body, "task_version", r.task_version);
	assert_int_equal(r.has_result, r.action == TF_REVERT);
	if (r.action == TF_REVERT) {
		struct json_object *result;
		json_object_object_get_ex(body, "result", &result);
		const char *kind = json_object_get_string(json_object_array_get_idx(result, 0));
		assert_int_equal(r.result_failed, !strcmp(kind, "failure"));
		struct json_object *have = json_tokener_parse(tf_value_text(r.result));
		assert_true(json_object_equal(json_object_array_get_idx(result, 1), have));
		json_object_put(have);
		same_member(body, "failures", r.failures);
	}
	struct tf_request copy;
	tf_request_copy(&r, &copy);
	tf_request_free(&r);
	tf_request_write(&copy, again);
	tf_request_free(&copy);
}

static void check_response(const char *text, struct json_object *body, struct tf_buf *again)
{
	struct tf_response r;
	struct tf_err err;
	struct json_object *data, *result;
	if (tf_response_parse(text, strlen(text), &r, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(tf_response_state_name(r.state), tf_vector_text(body, "state"));
	json_object_object_get_ex(body, "data", &data);
	assert_int_equal(r.result != NULL, json_object_object_get_ex(data, "result", &result));
	if (r.result)
		same_member(data, "result", r.result);
	if (r.state == TF_RESPONSE_EVENT) {
		assert_string_equal(r.event_type, tf_vector_text(data, "event_type"));
		same_member(data, "details", r.details);
	}
	tf_response_write(&r, again);
	tf_response_free(&r);
}

static void check_notify(const char *text, struct json_object *body, struct tf_buf *again)
{
	struct tf_notify n;
	struct tf_err err;
	struct json_object *tasks = NULL;
	if (tf_notify_parse(text, strlen(text), &n, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(n.answer, json_object_object_get_ex(body, "tasks", &tasks));
	if (n.answer) {
		assert_string_equal(n.topic, tf_vector_text(body, "topic"));
		assert_int_equal(n.task_count, json_object_array_length(tasks));
		for (size_t i = 0; i < n.task_count; i++)
			assert_string_equal(
				n.tasks[i], json_object_get_string(json_object_array_get_idx(tasks, i)));
	}
	tf_notify_write(&n, again);
	tf_notify_free(&n);
}

struct tally {
	int request, response, notify;
};

static void visit(const char *file, struct json_object *vector, void *arg)
{
	struct tally *t = arg;
	const char *type = tf_vector_text(vector, "message_type"),
		   *text = tf_vector_text(vector, "body_text");
	struct json_object *body;
	struct tf_buf again = TF_BUF_INIT;

	json_object_object_get_ex(vector, "body", &body);
	if (!strcmp(type, TF_TYPE_REQUEST)) {
		check_request(text, body, &again);
		t->request++;
	} else if (!strcmp(type, TF_TYPE_RESPONSE)) {
		check_response(text, body, &again);
		t->response++;
	} else {
		assert_string_equal(type, TF_TYPE_NOTIFY);
		check_notify(text, body, &again);
		t->notify++;
	}
	if (strcmp(again.data, text) != 0)
		fail_msg("%s: written again it reads\n%s\ninstead of\n%s", file, again.data, text);
	tf_buf_free(&again);
}

static void recorded_messages_survive_both_ways(void **state)
{
	(void)state;
	struct tally t = {0};
	int n = tf_vectors_each(visit, &t);
	/* Both transports recorded the same 24 messages (README.md there). */
	assert_int_equal(n, 48);
	assert_int_equal(t.notify, 4);
	assert_int_equal(t.request, 14);
	assert_int_equal(t.response, 30);
}

/* A body that one role must not take from the other: no recorded message passes as another type. */
static void visit_foreign(const char *file, struct json_object *vector, void *arg)
{
	(void)arg;
	const char *type = tf_vector_text(vector, "message_type"),
		   *text = tf_vector_text(vector, "body_text");
	struct tf_request req;
	struct tf_response resp;
	struct tf_notify note;
	struct tf_err err;
	bool is_request = tf_request_parse(text, strlen(text), &req, &err) == 0;
	bool is_response = tf_response_parse(text, strlen(text), &resp, &err) == 0;
	bool is_notify = tf_notify_parse(text, strlen(text), &note, &err) == 0;
	if (is_request != !strcmp(type, "REQUEST") || is_response != !strcmp(type, "RESPONSE") ||
		is_notify != !strcmp(type, "NOTIFY"))
		fail_msg("%s passes for another type", file);
	if (is_request)
		tf_request_free(&req);
	if (is_response)
		tf_response_free(&resp);
	if (is_notify)
		tf_notify_free(&note);
}

static void no_message_passes_for_another_type(void **state)
{
	(void)state;
	tf_vectors_each(visit_foreign, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_messages_survive_both_ways),
		cmocka_unit_test(no_message_passes_for_another_type),
	};
	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
