#include "protocol/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/failure.h"

static const char *const action_names[] = {[TF_EXECUTE] = "execute", [TF_REVERT] = "revert"};

static const char *const state_names[] = {
#define X(name) #name,
	TF_RESPONSE_STATES(X)
#undef X
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *tf_action_name(enum tf_action a)
{
	TF_ASSERT((unsigned)a < COUNT(action_names));
	return action_names[a];
}

const char *tf_response_state_name(enum tf_response_state s)
{
	TF_ASSERT((unsigned)s < COUNT(state_names));
	return state_names[s];
}

bool tf_message_is_json(const char *content_type)
{
	size_t n = strlen("application/json");
	return content_type && !strncmp(content_type, "application/json", n) &&
	       (!content_type[n] || strchr("; ", content_type[n]));
}

/* ---- reading */

/* A member that an object may have; val.text NULL after members() means absent. */
struct member {
	const char *name;
	struct tf_json val;
};

static int shown(struct tf_json v)
{
	return (int)(v.len < 80 ? v.len : 80);
}

/* Find the members of `object`, the last of duplicates winning. */
static int members(struct tf_json object, struct member *m, size_t n, bool closed, struct tf_err *err)
{
	struct tf_json key, val;

	if (tf_json_type(object) != TF_JSON_OBJECT)
		return tf_err_set(err, TF_EFORMAT, "expected an object, found %s",
			tf_json_type_name(tf_json_type(object)));
	struct tf_json_iter it = tf_json_iter(object);
	while (tf_json_next(&it, &key, &val)) {
		size_t i = 0;
		while (i < n && !tf_json_string_is(key, m[i].name))
			i++;
		if (i < n)
			m[i].val = val;
		else if (closed)
			return tf_err_set(err, TF_EFORMAT, "unexpected member %.*s", shown(key), key.text);
	}
	return 0;
}

static int need(const struct member *m, enum tf_json_type type, struct tf_err *err)
{
	if (!m->val.text)
		return tf_err_set(err, TF_EFORMAT, "%s: missing", m->name);
	if (tf_json_type(m->val) != type)
		return tf_err_set(err, TF_EFORMAT, "%s: expected %s %s, found %s", m->name,
			type == TF_JSON_STRING ? "a" : "an", tf_json_type_name(type),
			tf_json_type_name(tf_json_type(m->val)));
	return 0;
}

static int need_string(const struct member *m, char **out, struct tf_err *err)
{
	if (need(m, TF_JSON_STRING, err) < 0)
		return TF_EFORMAT;
	*out = tf_json_strdup(m->val, err);
	return *out ? 0 : tf_err_prefix(err, "%s", m->name);
}

static int need_one_of(
	const struct member *m, const char *const *names, size_t n, int *out, struct tf_err *err)
{
	if (need(m, TF_JSON_STRING, err) < 0)
		return TF_EFORMAT;
	for (size_t i = 0; i < n; i++) {
		if (tf_json_string_is(m->val, names[i])) {
			*out = (int)i;
			return 0;
		}
	}
	return tf_err_set(
		err, TF_EFORMAT, "%s: unknown %s %.*s", m->name, m->name, shown(m->val), m->val.text);
}

/* ---- REQUEST */

static int parse_result(struct tf_json result, struct tf_request *out, struct tf_err *err)
{
	struct tf_json kind, value;

	if (!result.text || tf_json_type(result) == TF_JSON_NULL)
		return 0;
	if (tf_json_type(result) != TF_JSON_ARRAY || tf_json_count(result) != 2)
		return tf_err_set(err, TF_EFORMAT, "result: expected an array of two elements, found %s",
			tf_json_type_name(tf_json_type(result)));
	tf_json_at(result, 0, &kind);
	tf_json_at(result, 1, &value);
	out->result_failed = tf_json_type(kind) == TF_JSON_STRING && tf_json_string_is(kind, "failure");
	if (out->result_failed && tf_failure_check_schema(value, err) < 0)
		return tf_err_prefix(err, "result[1]");
	out->has_result = true;
	out->result = tf_value_from(value);
	return 0;
}

static int parse_failures(const struct member *m, struct tf_request *out, struct tf_err *err)
{
	struct tf_json key, val;

	if (!m->val.text)
		return 0;
	if (need(m, TF_JSON_OBJECT, err) < 0)
		return TF_EFORMAT;
	struct tf_json_iter it = tf_json_iter(m->val);
	while (tf_json_next(&it, &key, &val)) {
		if (tf_failure_check_schema(val, err) < 0)
			return tf_err_prefix(err, "failures[%.*s]", shown(key), key.text);
	}
	out->failures = tf_value_from(m->val);
	return 0;
}

static int parse_request(struct tf_json root, struct tf_request *out, struct tf_err *err)
{
	enum { CLS, NAME, VERSION, ACTION, ARGUMENTS, RESULT, FAILURES, N };
	struct member m[N] = {[CLS] = {.name = "task_cls"},
		[NAME] = {.name = "task_name"},
		[VERSION] = {.name = "task_version"},
		[ACTION] = {.name = "action"},
		[ARGUMENTS] = {.name = "arguments"},
		[RESULT] = {.name = "result"},
		[FAILURES] = {.name = "failures"}};
	int action = TF_EXECUTE;

	if (members(root, m, N, false, err) < 0 || need_string(&m[CLS], &out->task_cls, err) < 0 ||
		need_string(&m[NAME], &out->task_name, err) < 0)
		return TF_EFORMAT;
	if (!m[VERSION].val.text || tf_json_type(m[VERSION].val) != TF_JSON_STRING) {
		if (need(&m[VERSION], TF_JSON_ARRAY, err) < 0)
			return TF_EFORMAT;
	}
	out->task_version = tf_value_from(m[VERSION].val);
	if (need_one_of(&m[ACTION], action_names, COUNT(action_names), &action, err) < 0)
		return TF_EFORMAT;
	out->action = (enum tf_action)action;
	if (m[ARGUMENTS].val.text && need(&m[ARGUMENTS], TF_JSON_OBJECT, err) < 0)
		return TF_EFORMAT;
	out->arguments = m[ARGUMENTS].val.text ? tf_value_from(m[ARGUMENTS].val) : tf_value_empty_object();
	if (parse_result(m[RESULT].val, out, err) < 0 || parse_failures(&m[FAILURES], out, err) < 0)
		return TF_EFORMAT;
	return 0;
}

int tf_request_parse(const char *body, size_t len, struct tf_request *out, struct tf_err *err)
{
	struct tf_json root;

	memset(out, 0, sizeof(*out));
	int rc = tf_json_validate(body, len, TF_BODY_MAX_DEPTH, &root, err);
	if (rc == 0)
		rc = parse_request(root, out, err);
	if (rc < 0)
		tf_request_free(out);
	return rc;
}

static void write_value(struct tf_buf *out, const struct tf_value *v)
{
	tf_buf_append(out, tf_value_text(v), tf_value_len(v));
}

void tf_request_write(const struct tf_request *r, struct tf_buf *out)
{
	tf_buf_puts(out, "{\"task_cls\": ");
	tf_json_write_string(out, r->task_cls, strlen(r->task_cls));
	tf_buf_puts(out, ", \"task_name\": ");
	tf_json_write_string(out, r->task_name, strlen(r->task_name));
	tf_buf_puts(out, ", \"task_version\": ");
	write_value(out, r->task_version);
	tf_buf_printf(out, ", \"action\": \"%s\", \"arguments\": ", tf_action_name(r->action));
	write_value(out, r->arguments);
	if (r->action == TF_REVERT) {
		tf_buf_printf(out, ", \"result\": [\"%s\", ", r->result_failed ? "failure" : "success");
		if (r->result)
			write_value(out, r->result);
		else
			tf_buf_puts(out, "null");
		tf_buf_puts(out, "], \"failures\": ");
		if (r->failures)
			write_value(out, r->failures);
		else
			tf_buf_puts(out, "{}");
	}
	tf_buf_putc(out, '}');
}

struct tf_value *tf_request_too_large(const struct tf_request *r, uint64_t limit)
{
	return r->action == TF_REVERT
		       ? NULL
		       : tf_failure_size(r->task_name, "arguments", tf_value_len(r->arguments), limit);
}

void tf_request_free(struct tf_request *r)
{
	free(r->task_cls);
	free(r->task_name);
	tf_value_unref(r->task_version);
	tf_value_unref(r->arguments);
	tf_value_unref(r->result);
	tf_value_unref(r->failures);
	memset(r, 0, sizeof(*r));
}

void tf_request_copy(const struct tf_request *r, struct tf_request *out)
{
	*out = *r;
	out->task_cls = tf_strdup(r->task_cls);
	out->task_name = tf_strdup(r->task_name);
	tf_value_ref(out->task_version);
	tf_value_ref(out->arguments);
	tf_value_ref(out->result);
	tf_value_ref(out->failures);
	out->flow = out->uuid = NULL;
}

/* ---- RESPONSE */

static int parse_failure(struct tf_json dict, struct tf_response *out, struct tf_err *err)
{
	if (tf_failure_check_reconstruct(dict, err) < 0)
		return tf_err_prefix(err, "data.result");
	out->result = tf_failure_normalise(dict);
	return 0;
}

/* data has one of the three shapes; the state may ask for a certain one. */
static int parse_data(struct tf_json data, struct tf_response *out, struct tf_err *err)
{
	enum { RESULT, EVENT_TYPE, DETAILS, N };
	struct member m[N] = {[RESULT] = {.name = "result"},
		[EVENT_TYPE] = {.name = "event_type"},
		[DETAILS] = {.name = "details"}};
	bool final = out->state == TF_RESPONSE_SUCCESS || out->state == TF_RESPONSE_FAILURE;

	if (members(data, m, N, true, err) < 0)
		return tf_err_prefix(err, "data");
	bool completion = m[RESULT].val.text, event = m[EVENT_TYPE].val.text || m[DETAILS].val.text;
	if (completion && event)
		return tf_err_set(err, TF_EFORMAT, "data: a result and an event at once");
	if (final && !completion)
		return tf_err_set(
			err, TF_EFORMAT, "data.result: missing, state %s needs it", state_names[out->state]);
	if (out->state == TF_RESPONSE_EVENT && !event)
		return tf_err_set(err, TF_EFORMAT, "data.event_type: missing, state EVENT needs it");
	if (event) {
		if (need_string(&m[EVENT_TYPE], &out->event_type, err) < 0 ||
			need(&m[DETAILS], TF_JSON_OBJECT, err) < 0)
			return tf_err_prefix(err, "data");
		out->details = tf_value_from(m[DETAILS].val);
	}
	if (out->state == TF_RESPONSE_FAILURE)
		return parse_failure(m[RESULT].val, out, err);
	if (out->state == TF_RESPONSE_SUCCESS)
		out->result = tf_value_from(m[RESULT].val);
	return 0;
}

static int parse_response(struct tf_json root, struct tf_response *out, struct tf_err *err)
{
	enum { STATE, DATA, N };
	struct member m[N] = {[STATE] = {.name = "state"}, [DATA] = {.name = "data"}};
	int state = 0;

	if (members(root, m, N, true, err) < 0 ||
		need_one_of(&m[STATE], state_names, COUNT(state_names), &state, err) < 0)
		return TF_EFORMAT;
	out->state = (enum tf_response_state)state;
	if (!m[DATA].val.text)
		return tf_err_set(err, TF_EFORMAT, "data: missing");
	return parse_data(m[DATA].val, out, err);
}

/* What a body says of the state although the rest of it is of no use; WAITING if it does not. */
static enum tf_response_state salvage_state(const char *body, size_t len)
{
	struct tf_json root;
	struct member m = {.name = "state"};
	int state = 0;

	if (tf_json_validate(body, len, TF_JSON_DEPTH_CAP, &root, NULL) < 0 ||
		members(root, &m, 1, false, NULL) < 0 ||
		need_one_of(&m, state_names, COUNT(state_names), &state, NULL) < 0)
		return TF_RESPONSE_WAITING;
	return (enum tf_response_state)state;
}

int tf_response_parse(const char *body, size_t len, struct tf_response *out, struct tf_err *err)
{
	struct tf_json root;

	memset(out, 0, sizeof(*out));
	int rc = tf_json_validate(body, len, TF_BODY_MAX_DEPTH, &root, err);
	if (rc == 0)
		rc = parse_response(root, out, err);
	if (rc < 0) {
		tf_response_free(out);
		out->state = salvage_state(body, len);
	}
	return rc;
}

void tf_response_write(const struct tf_response *r, struct tf_buf *out)
{
	tf_buf_printf(out, "{\"state\": \"%s\", \"data\": {", tf_response_state_name(r->state));
	if (r->state == TF_RESPONSE_EVENT) {
		tf_buf_puts(out, "\"event_type\": ");
		tf_json_write_string(out, r->event_type, strlen(r->event_type));
		tf_buf_puts(out, ", \"details\": ");
		write_value(out, r->details);
	} else if (r->state == TF_RESPONSE_SUCCESS || r->state == TF_RESPONSE_FAILURE) {
		tf_buf_puts(out, "\"result\": ");
		write_value(out, r->result);
	}
	tf_buf_puts(out, "}}");
}

void tf_response_free(struct tf_response *r)
{
	tf_value_unref(r->result);
	tf_value_unref(r->details);
	free(r->event_type);
	memset(r, 0, sizeof(*r));
}

/* ---- NOTIFY */

static int parse_tasks(struct tf_json tasks, struct tf_notify *out, struct tf_err *err)
{
	struct tf_json v;
	size_t count = tf_json_count(tasks);

	if (count > TF_NOTIFY_MAX_TASKS)
		return tf_err_set(
			err, TF_ELIMIT, "tasks: %zu names, at most %d are taken", count, TF_NOTIFY_MAX_TASKS);
	out->tasks = tf_calloc(count + 1, sizeof(char *));
	struct tf_json_iter it = tf_json_iter(tasks);
	while (tf_json_next(&it, NULL, &v)) {
		char *name = tf_json_strdup(v, err);
		if (!name)
			return tf_err_prefix(err, "tasks[%zu]", out->task_count);
		out->tasks[out->task_count++] = name;
	}
	return 0;
}

static int parse_notify(struct tf_json root, struct tf_notify *out, struct tf_err *err)
{
	enum { TOPIC, TASKS, N };
	struct member m[N] = {[TOPIC] = {.name = "topic"}, [TASKS] = {.name = "tasks"}};

	if (members(root, m, N, true, err) < 0)
		return TF_EFORMAT;
	out->answer = m[TOPIC].val.text || m[TASKS].val.text;
	if (!out->answer)
		return 0;
	if (need_string(&m[TOPIC], &out->topic, err) < 0 || need(&m[TASKS], TF_JSON_ARRAY, err) < 0)
		return TF_EFORMAT;
	if (strlen(out->topic) > TF_NAME_MAX)
		return tf_err_set(err, TF_ELIMIT, "topic: %zu bytes, at most %d fit into a routing key",
			strlen(out->topic), TF_NAME_MAX);
	return parse_tasks(m[TASKS].val, out, err);
}

int tf_notify_parse(const char *body, size_t len, struct tf_notify *out, struct tf_err *err)
{
	struct tf_json root;

	memset(out, 0, sizeof(*out));
	int rc = tf_json_validate(body, len, TF_BODY_MAX_DEPTH, &root, err);
	if (rc == 0)
		rc = parse_notify(root, out, err);
	if (rc < 0)
		tf_notify_free(out);
	return rc;
}

void tf_notify_write(const struct tf_notify *n, struct tf_buf *out)
{
	if (!n->answer) {
		tf_buf_puts(out, "{}");
		return;
	}
	tf_buf_puts(out, "{\"topic\": ");
	tf_json_write_string(out, n->topic, strlen(n->topic));
	tf_buf_puts(out, ", \"tasks\": [");
	for (size_t i = 0; i < n->task_count; i++) {
		if (i)
			tf_buf_puts(out, ", ");
		tf_json_write_string(out, n->tasks[i], strlen(n->tasks[i]));
	}
	tf_buf_puts(out, "]}");
}

void tf_notify_free(struct tf_notify *n)
{
	free(n->topic);
	for (size_t i = 0; i < n->task_count; i++)
		free(n->tasks[i]);
	free(n->tasks);
	memset(n, 0, sizeof(*n));
}

/* ---- values on their way out */

/* The types that kombu 5.3 and later writes itself. */
static const char *const kombu_types[] = {"datetime", "date", "time", "decimal", "uuid", "bytes", "base64"};

static int check_kombu(struct tf_json object, struct tf_err *err)
{
	struct member m[] = {{.name = "__type__"}, {.name = "__value__"}};

	if (tf_json_count(object) != 2 || members(object, m, COUNT(m), true, NULL) < 0 || !m[0].val.text ||
		!m[1].val.text)
		return 0;
	for (size_t i = 0; tf_json_type(m[0].val) == TF_JSON_STRING && i < COUNT(kombu_types); i++) {
		if (tf_json_string_is(m[0].val, kombu_types[i]))
			return 0;
	}
	return tf_err_set(err, TF_EFORMAT,
		"an object with just the keys __type__ and __value__ cannot be sent: a Python peer takes it "
		"for "
		"a value of its own, of unknown type %.*s; add another key or rename one",
		shown(m[0].val), m[0].val.text);
}

static int check_value(struct tf_json v, struct tf_err *err)
{
	struct tf_json key, val;
	enum tf_json_type t = tf_json_type(v);

	if (t != TF_JSON_OBJECT && t != TF_JSON_ARRAY)
		return 0;
	if (t == TF_JSON_OBJECT && check_kombu(v, err) < 0)
		return TF_EFORMAT;
	struct tf_json_iter it = tf_json_iter(v);
	for (size_t i = 0; tf_json_next(&it, &key, &val); i++) {
		if (check_value(val, err) == 0)
			continue;
		return key.text ? tf_err_prefix(err, "%.*s", shown(key), key.text)
				: tf_err_prefix(err, "[%zu]", i);
	}
	return 0;
}

int tf_message_check_value(struct tf_json value, struct tf_err *err)
{
	/* Nearly every value is done with these looks. The keys can also be spelt with escapes of ASCII
	 * letters, which no writer needs. */
	static const char *const signs[] = {"__type__", "\\u005", "\\u006", "\\u007"};
	size_t i = 0;
	while (i < COUNT(signs) && !memmem(value.text, value.len, signs[i], strlen(signs[i])))
		i++;
	if (i == COUNT(signs))
		return 0;
	return check_value(value, err);
}
