#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "protocol/message.h"

enum kind { REQUEST, RESPONSE, NOTIFY };

/* Parse `text` as `kind`; NULL if it is taken, otherwise the story. */
static const char *refusal(enum kind kind, const char *text, size_t len)
{
	static struct tf_err err;
	struct tf_request req;
	struct tf_response resp;
	struct tf_notify note;
	int rc;

	if (kind == REQUEST) {
		rc = tf_request_parse(text, len, &req, &err);
		if (rc == 0)
			tf_request_free(&req);
	} else if (kind == RESPONSE) {
		rc = tf_response_parse(text, len, &resp, &err);
		if (rc == 0)
			tf_response_free(&resp);
	} else {
		rc = tf_notify_parse(text, len, &note, &err);
		if (rc == 0)
			tf_notify_free(&note);
	}
	if (rc == 0)
		return NULL;
	assert_true(rc == TF_EFORMAT || rc == TF_ELIMIT);
	assert_true(err.message[0]);
	return err.message;
}

struct example {
	enum kind kind;
	const char *text;
	const char *story; /* NULL: accepted; otherwise what the refusal must contain */
};

#define REQ "\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0]"
#define EXE "{" REQ ", \"action\": \"execute\""
#define REV "{" REQ ", \"action\": \"revert\""
#define FAIL(types) \
	"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [" types "], \"version\": " \
	"1}"
#define GOOD FAIL("\"E\", \"Exception\"")
#define STATE(s, data) "{\"state\": \"" s "\", \"data\": " data "}"

/* The observed outcomes of PROTOCOL.md 3, 7 and 10. */
static const struct example examples[] = {
	{REQUEST, EXE ", \"arguments\": {}}", NULL},
	{REQUEST, EXE "}", NULL}, /* arguments absent */
	{REQUEST, EXE ", \"extra\": 1}", NULL},
	{REQUEST,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": \"1.0\", \"action\": "
		"\"execute\"}",
		NULL},
	{REQUEST,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": 1, \"action\": \"execute\"}",
		"task_version: expected an array, found integer"},
	{REQUEST, "{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"action\": \"execute\"}",
		"task_version: missing"},
	{REQUEST, "{\"task_name\": \"t\", \"task_version\": [], \"action\": \"execute\"}",
		"task_cls: missing"},
	{REQUEST, "{\"task_cls\": 1, \"task_name\": \"t\", \"task_version\": [], \"action\": \"execute\"}",
		"task_cls: expected a string, found integer"},
	{REQUEST,
		"{\"task_cls\": \"\\ud800\", \"task_name\": \"t\", \"task_version\": [], \"action\": "
		"\"execute\"}",
		"task_cls"},
	{REQUEST, "{" REQ ", \"action\": \"destroy\"}", "action: unknown action \"destroy\""},
	{REQUEST, "{" REQ ", \"action\": null}", "action: expected a string, found null"},
	{REQUEST, EXE ", \"arguments\": null}", "arguments: expected an object, found null"},
	{REQUEST, EXE ", \"arguments\": []}", "arguments: expected an object, found array"},
	{REQUEST, "[]", "expected an object, found array"},
	{REQUEST, "\"x\"", "expected an object"},
	{REQUEST, REV "}", NULL}, /* PROTOCOL.md 3.3: absence tolerated */
	{REQUEST, REV ", \"result\": null, \"failures\": {}}", NULL},
	{REQUEST, REV ", \"result\": [\"success\", 3], \"failures\": {}}", NULL},
	{REQUEST, REV ", \"result\": [1, 3], \"failures\": {}}", NULL}, /* no check for the word success */
	{REQUEST, REV ", \"result\": [\"failure\", " GOOD "], \"failures\": {\"a\": " GOOD "}}", NULL},
	{REQUEST, REV ", \"result\": 5}", "result: expected an array of two elements, found integer"},
	{REQUEST, EXE ", \"result\": \"ab\"}", "result: expected an array of two elements, found string"},
	{REQUEST, REV ", \"result\": [1]}", "result: expected an array of two elements"},
	{REQUEST, REV ", \"result\": [\"success\", 1, 2]}", "result: expected an array of two elements"},
	{REQUEST, REV ", \"result\": [\"failure\", null]}",
		"result[1]: expected a failure object, found null"},
	{REQUEST, REV ", \"result\": [\"failure\", " FAIL("\"E\"") "]}", "result[1]: exc_type_names"},
	{REQUEST, REV ", \"failures\": null}", "failures: expected an object, found null"},
	{REQUEST, REV ", \"failures\": {\"a\": " GOOD ", \"b\": " FAIL("1") "}}",
		"failures[\"b\"]: exc_type_names[0]: expected a string, found integer"},

	{RESPONSE, STATE("RUNNING", "{}"), NULL},
	{RESPONSE, STATE("RUNNING", "{\"result\": 1}"), NULL}, /* independent of the state */
	{RESPONSE, STATE("PENDING", "{}"), NULL},
	{RESPONSE, STATE("WAITING", "{}"), NULL},
	{RESPONSE, STATE("SUCCESS", "{\"result\": null}"), NULL},
	{RESPONSE, STATE("SUCCESS", "{}"), "data.result: missing, state SUCCESS needs it"},
	{RESPONSE, STATE("FAILURE", "{}"), "data.result: missing, state FAILURE needs it"},
	{RESPONSE, STATE("EVENT", "{}"), "data.event_type: missing, state EVENT needs it"},
	{RESPONSE, STATE("EVENT", "{\"result\": 1}"), "data.event_type: missing"},
	{RESPONSE, STATE("SUCCESS", "{\"event_type\": \"a\", \"details\": {}}"), "data.result: missing"},
	{RESPONSE, STATE("EVENT", "{\"event_type\": \"a\", \"details\": {}}"), NULL},
	{RESPONSE, STATE("EVENT", "{\"event_type\": \"a\", \"details\": []}"),
		"data: details: expected an object, found array"},
	{RESPONSE, STATE("EVENT", "{\"event_type\": 1, \"details\": {}}"),
		"data: event_type: expected a string"},
	{RESPONSE, STATE("EVENT", "{\"event_type\": \"a\"}"), "data: details: missing"},
	{RESPONSE, STATE("RUNNING", "{\"details\": {}}"), "data: event_type: missing"},
	{RESPONSE, STATE("EVENT", "{\"event_type\": \"a\", \"details\": {}, \"result\": 1}"), "at once"},
	{RESPONSE, STATE("SUCCESS", "{\"result\": 1, \"x\": 2}"), "data: unexpected member \"x\""},
	{RESPONSE, STATE("SUCCESS", "null"), "data: expected an object, found null"},
	{RESPONSE, STATE("REVERTED", "{}"), "state: unknown state \"REVERTED\""},
	{RESPONSE, "{\"state\": \"RUNNING\"}", "data: missing"},
	{RESPONSE, "{\"data\": {}}", "state: missing"},
	{RESPONSE, "{\"state\": \"RUNNING\", \"data\": {}, \"more\": 1}", "unexpected member \"more\""},
	/* the documented form of EVENT, which the code rejects (PROTOCOL.md 13) */
	{RESPONSE, "{\"state\": \"EVENT\", \"event_type\": \"a\", \"details\": {}}",
		"unexpected member \"event_type\""},
	{RESPONSE, STATE("FAILURE", "{\"result\": " GOOD "}"), NULL},
	{RESPONSE, STATE("FAILURE", "{\"result\": " FAIL("\"X\"") "}"), NULL}, /* a Python engine takes it */
	{RESPONSE, STATE("FAILURE", "{\"result\": 5}"),
		"data.result: expected a failure object, found integer"},
	{RESPONSE, STATE("FAILURE", "{\"result\": {\"exception_str\": \"x\"}}"),
		"data.result: Invalid dict version"},

	{NOTIFY, "{}", NULL},
	{NOTIFY, " { } ", NULL},
	{NOTIFY, "{\"topic\": \"t\", \"tasks\": []}", NULL},
	{NOTIFY, "{\"topic\": \"t\", \"tasks\": [\"a\", \"b\"]}", NULL},
	{NOTIFY, "{\"topic\": \"t\"}", "tasks: missing"},
	{NOTIFY, "{\"tasks\": []}", "topic: missing"},
	{NOTIFY, "{\"topic\": 1, \"tasks\": []}", "topic: expected a string"},
	{NOTIFY, "{\"topic\": \"t\", \"tasks\": {}}", "tasks: expected an array, found object"},
	{NOTIFY, "{\"topic\": \"t\", \"tasks\": [\"a\", 1]}", "tasks[1]"},
	{NOTIFY, "{\"topic\": \"t\", \"tasks\": [], \"x\": 1}", "unexpected member \"x\""},
	{NOTIFY, "{\"x\": 1}", "unexpected member \"x\""},
	{NOTIFY, "null", "expected an object, found null"},
};

static void examples_end_as_specified(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *e = &examples[i];
		const char *story = refusal(e->kind, e->text, strlen(e->text));
		if (!story != !e->story || (story && !strstr(story, e->story)))
			fail_msg("%s\nwant: %s\nhave: %s", e->text, e->story ? e->story : "accepted",
				story ? story : "accepted");
	}
}

static void bytes_that_are_no_json_are_refused_by_all(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "{", "{}x", "{\"state\": }", "\xff\xfe",
		"{\"a\": \"\xc3\"}", "{'a': 1}", "nul", "{\"topic\": \"t\", \"tasks\": [\"a\",]}",
		"{\"a\": 01}", "[[[[["};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int kind = REQUEST; kind <= NOTIFY; kind++)
			assert_non_null(refusal((enum kind)kind, bad[i], strlen(bad[i])));
	}
	assert_non_null(refusal(NOTIFY, "{}\0{}", 5));
}

/* Each prefix and each single changed byte of a good body: taken or refused, nothing else. The
 * sanitized build looks for what else there could be. */
static void damaged_bodies_do_no_harm(void **state)
{
	(void)state;
	const char *good = REV ", \"arguments\": {\"a\": [1, {\"b\": null}]}, \"result\": [\"failure\", " GOOD
			       "], \"failures\": {\"a\": " GOOD "}}";
	size_t len = strlen(good), refused = 0;
	for (size_t n = 0; n < len; n++)
		refused += refusal(REQUEST, good, n) != NULL;
	assert_int_equal(refused, len);
	char *copy = tf_strdup(good);
	for (size_t i = 0; i < len; i++) {
		for (int c = 0; c < 256; c++) {
			copy[i] = (char)c;
			refusal(REQUEST, copy, len);
			refusal(RESPONSE, copy, len);
		}
		copy[i] = good[i];
	}
	free(copy);
}

static void nesting_is_bounded(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	for (int depth = TF_JSON_MAX_DEPTH; depth <= 200000; depth += 199872) {
		tf_buf_reset(&b);
		tf_buf_puts(&b, "{\"state\": \"SUCCESS\", \"data\": {\"result\": ");
		for (int i = 0; i < depth; i++)
			tf_buf_putc(&b, '[');
		for (int i = 0; i < depth; i++)
			tf_buf_putc(&b, ']');
		tf_buf_puts(&b, "}}");
		/* A value of the greatest depth that a value may have also fits into a message. */
		assert_int_equal(refusal(RESPONSE, b.data, b.len) == NULL, depth == TF_JSON_MAX_DEPTH);
	}
	tf_buf_free(&b);
}

static void lists_of_names_are_bounded(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, "{\"topic\": \"t\", \"tasks\": [\"a\"");
	for (int i = 0; i < TF_NOTIFY_MAX_TASKS; i++)
		tf_buf_puts(&b, ",\"a\"");
	tf_buf_puts(&b, "]}");
	assert_non_null(strstr(refusal(NOTIFY, b.data, b.len), "at most"));
	tf_buf_reset(&b);
	tf_buf_puts(&b, "{\"tasks\": [], \"topic\": \"");
	for (int i = 0; i <= TF_NAME_MAX; i++)
		tf_buf_putc(&b, 't');
	tf_buf_puts(&b, "\"}");
	assert_non_null(strstr(refusal(NOTIFY, b.data, b.len), "routing key"));
	tf_buf_free(&b);
}

/* What passes through is not touched, whatever order and spelling the sender chose. */
static void values_pass_unchanged(void **state)
{
	(void)state;
	const char *text =
		"{ \"data\" :{\"result\":  {\"z\":1.0,\"a\" : [ ],\"n\":123456789012345678901234567890,"
		"\"f\":NaN,\"u\":\"\\ud800\xc3\xa9\"} } ,\"state\":\"SUCCESS\"}";
	struct tf_response r;
	assert_int_equal(tf_response_parse(text, strlen(text), &r, NULL), 0);
	assert_string_equal(tf_value_text(r.result),
		"{\"z\":1.0,\"a\" : [ "
		"],\"n\":123456789012345678901234567890,\"f\":NaN,\"u\":\"\\ud800\xc3\xa9\"}");
	tf_response_free(&r);
}

static void a_revert_always_carries_result_and_failures(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	struct tf_request r = {.task_cls = (char *)"m.T",
		.task_name = (char *)"n\xc3\xa9",
		.task_version = tf_value_parse("[1, 0]", 6, 0, NULL),
		.action = TF_REVERT,
		.arguments = tf_value_empty_object()};
	tf_request_write(&r, &b);
	assert_string_equal(b.data, "{\"task_cls\": \"m.T\", \"task_name\": \"n\\u00e9\", \"task_version\": "
				    "[1, 0], \"action\": \"revert\", "
				    "\"arguments\": {}, \"result\": [\"success\", null], \"failures\": {}}");
	tf_value_unref(r.task_version);
	tf_value_unref(r.arguments);
	tf_buf_free(&b);
}

static void objects_that_kombu_claims_are_not_sent(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path; /* NULL: may be sent */
	} cases[] = {
		{"{\"__type__\": \"decimal\", \"__value__\": \"1.0\"}", NULL},
		{"{\"__type__\": \"x\"}", NULL},
		{"{\"__type__\": \"x\", \"__value__\": 1, \"more\": 1}", NULL},
		{"\"__type__\"", NULL},
		{"{\"__type__\": \"x\", \"__value__\": 1}", "an object with just the keys"},
		{"{\"__value__\": 1, \"__type__\": 5}", "an object with just the keys"},
		{"{\"a\": [0, {\"__type__\": \"x\", \"__value__\": 1}]}", "\"a\": [1]: an object"},
		{"{\"\\u005f_type__\": \"x\", \"__value__\": 1}", "an object"},
		{"{\"\\u005f\\u005F\\u0074\\u0079\\u0070\\u0065__\": \"x\", \"__value__\": 1}", "an object"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tf_json v;
		struct tf_err err;
		assert_int_equal(tf_json_validate(cases[i].text, strlen(cases[i].text), 0, &v, NULL), 0);
		int rc = tf_message_check_value(v, &err);
		assert_int_equal(rc, cases[i].path ? TF_EFORMAT : 0);
		if (rc < 0 && strncmp(err.message, cases[i].path, strlen(cases[i].path)) != 0)
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

/* A request without a content type was run; kombu takes its body for text, and rejects it. */
static void content_types(void **state)
{
	(void)state;
	static const char *const taken[] = {"application/json", "application/json; charset=utf-8"};
	static const char *const refused[] = {NULL, "", "application/jso", "application/jsonp", "text/plain",
		"application/x-python-serialize", "application/data"};
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		assert_true(tf_message_is_json(taken[i]));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_false(tf_message_is_json(refused[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_end_as_specified),
		cmocka_unit_test(bytes_that_are_no_json_are_refused_by_all),
		cmocka_unit_test(damaged_bodies_do_no_harm),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(lists_of_names_are_bounded),
		cmocka_unit_test(values_pass_unchanged),
		cmocka_unit_test(a_revert_always_carries_result_and_failures),
		cmocka_unit_test(objects_that_kombu_claims_are_not_sent),
		cmocka_unit_test(content_types),
	};
	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
