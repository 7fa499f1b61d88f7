#include "transport/kombu_file.h"

#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"

static const char SUFFIX[] = ".msg";

static int check_name(const char *what, const char *name, struct tf_err *err)
{
	if (!strpbrk(name, "./"))
		return 0;
	return tf_err_set(err, TF_EINVAL,
		"%s \"%s\": the filesystem transport allows no dot and no slash in it, file names are made "
		"of it",
		what, name);
}

char *tf_kombu_queue(const char *exchange, const char *topic, struct tf_err *err)
{
	size_t len = strlen(exchange) + 1 + strlen(topic);

	if (check_name("exchange", exchange, err) < 0 || check_name("topic", topic, err) < 0)
		return NULL;
	if (len > TF_KOMBU_QUEUE_MAX) {
		tf_err_set(err, TF_EINVAL,
			"queue name %s_%s has %zu bytes, the filesystem transport allows %d in a file's name",
			exchange, topic, len, TF_KOMBU_QUEUE_MAX);
		return NULL;
	}
	return tf_asprintf("%s_%s", exchange, topic);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_uuid(const char *s)
{
	size_t i;

	for (i = 0; i < TF_UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !strchr("0123456789abcdefABCDEF", s[i]) || !s[i])
			return false;
	}
	return true;
}

bool tf_kombu_name_parse(const char *name, struct tf_kombu_name *out)
{
	size_t len = strlen(name), suffix = sizeof(SUFFIX) - 1;
	const char *at = name;

	out->ms = 0;
	for (; is_digit(*at); at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (out->ms > (UINT64_MAX - digit) / 10)
			return false;
		out->ms = out->ms * 10 + digit;
	}
	if (at == name || *at != '_' || len - (size_t)(at - name) < 1 + TF_UUID_LEN + 1 + 1 + suffix)
		return false;
	at++;
	if (!is_uuid(at) || at[TF_UUID_LEN] != '.' || strcmp(name + len - suffix, SUFFIX) != 0)
		return false;
	out->queue = at + TF_UUID_LEN + 1;
	out->queue_len = (size_t)(name + len - suffix - out->queue);
	return true;
}

char *tf_kombu_name_make(uint64_t ms, const char *uuid, const char *queue)
{
	return tf_asprintf("%ju_%s.%s%s", (uintmax_t)ms, uuid, queue, SUFFIX);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static int check_text(const char *name, const char *value, struct tf_err *err)
{
	size_t len;

	if (!value)
		return 0;
	len = strlen(value);
	if (tf_utf8_valid_len(value, len) != len)
		return tf_err_set(
			err, TF_EINVAL, "%s is not UTF-8 (byte %zu)", name, tf_utf8_valid_len(value, len));
	return 0;
}

static void write_member(struct tf_buf *out, const char *prefix, const char *value)
{
	tf_buf_puts(out, prefix);
	if (value)
		tf_json_write_string(out, value, strlen(value));
	else
		tf_buf_puts(out, "null");
}

int tf_kombu_file_write(struct tf_buf *out, const struct tf_message *m, const char *exchange, const char *tag,
	struct tf_err *err)
{
	int rc;

	if ((rc = check_text("exchange", exchange, err)) < 0 ||
		(rc = check_text("topic", m->topic, err)) < 0 ||
		(rc = check_text("type", m->type, err)) < 0 ||
		(rc = check_text("reply_to", m->reply_to, err)) < 0 ||
		(rc = check_text("correlation_id", m->correlation_id, err)) < 0 ||
		(rc = check_text("header " TF_PEER_HEADER, m->peer, err)) < 0)
		return rc;
	tf_buf_reserve(out, m->body_len / 3 * 4 + 1024);
	tf_buf_puts(out, "{\"body\": \"");
	tf_base64_encode(out, m->body, m->body_len);
	tf_buf_puts(out, "\", \"content-encoding\": \"utf-8\", \"content-type\": \"application/json\", "
			 "\"headers\": {");
	if (m->peer)
		write_member(out, "\"" TF_PEER_HEADER "\": ", m->peer);
	write_member(out, "}, \"properties\": {\"type\": ", m->type);
	write_member(out, ", \"reply_to\": ", m->reply_to);
	write_member(out, ", \"correlation_id\": ", m->correlation_id);
	write_member(out, ", \"delivery_mode\": 2, \"delivery_info\": {\"exchange\": ", exchange);
	write_member(out, ", \"routing_key\": ", m->topic);
	write_member(out, "}, \"priority\": 0, \"body_encoding\": \"base64\", \"delivery_tag\": ", tag);
	tf_buf_puts(out, m->redelivered ? "}, \"redelivered\": true}" : "}}");
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct fields { /* raw tokens, .text NULL while absent; the last of duplicates wins, as in Python */
	struct tf_json body, content_type, headers, properties, redelivered; /* of the root */
	struct tf_json type, reply_to, correlation_id, body_encoding;        /* of properties */
	struct tf_json peer;                                                 /* of headers */
};

struct member {
	const char *name;
	struct tf_json *into;
};

/* One pass over an object: a body may have many megabytes, so it is skipped once, not per member. */
static void pick(struct tf_json object, const struct member *members)
{
	struct tf_json_iter it = tf_json_iter(object);
	struct tf_json key, value;
	const struct member *m;

	while (tf_json_next(&it, &key, &value)) {
		for (m = members; m->name; m++)
			if (tf_json_string_is(key, m->name))
				*m->into = value;
	}
}

static bool is_absent(struct tf_json v)
{
	return !v.text || tf_json_type(v) == TF_JSON_NULL;
}

/* White space around the object is no part of it. False: incomplete, or something else. */
static int check_object(const char *text, size_t len, struct tf_json *root, struct tf_err *err)
{
	size_t start = 0;
	int rc;

	while (start < len && memchr(" \t\r\n", text[start], 4))
		start++;
	if (start == len)
		return tf_err_set(err, TF_EAGAIN, "the file is empty");
	if (text[start] != '{') /* more bytes will not make it an object */
		return tf_err_set(err, TF_EFORMAT, "no JSON object: begins with byte 0x%02x",
			(unsigned char)text[start]);
	rc = tf_json_validate(text, len, 0, root, err);
	if (rc == 0)
		return 0;
	rc = rc == TF_ELIMIT ? TF_EFORMAT : TF_EAGAIN; /* too deep stays too deep */
	if (err)
		err->code = rc;
	return rc;
}

static int read_string(const char *where, struct tf_json v, char **out, struct tf_err *err)
{
	if (is_absent(v))
		return 0;
	if (tf_json_type(v) != TF_JSON_STRING)
		return tf_err_set(
			err, TF_EFORMAT, "%s is %s, not a string", where, tf_json_type_name(tf_json_type(v)));
	*out = tf_json_strdup(v, err);
	if (!*out) {
		tf_err_prefix(err, "%s", where);
		return TF_EFORMAT;
	}
	return 0;
}

static int read_body(const struct fields *f, size_t max_body, struct tf_buf *out, struct tf_err *err)
{
	struct tf_buf plain = TF_BUF_INIT;
	int rc;

	if (!f->body.text || tf_json_type(f->body) != TF_JSON_STRING)
		return tf_err_set(err, TF_EFORMAT, "body is %s, not a string",
			f->body.text ? tf_json_type_name(tf_json_type(f->body)) : "missing");
	if (is_absent(f->body_encoding)) { /* then kombu takes it literally */
		rc = tf_json_unescape(f->body, out, err);
	} else if (!tf_json_string_is(f->body_encoding, "base64")) {
		return tf_err_set(err, TF_EFORMAT, "properties.body_encoding is %.*s, not \"base64\"",
			(int)(f->body_encoding.len < 40 ? f->body_encoding.len : 40), f->body_encoding.text);
	} else if (!memchr(f->body.text, '\\', f->body.len)) { /* the common case: no copy in between */
		rc = tf_base64_decode(out, f->body.text + 1, f->body.len - 2, err);
	} else {
		rc = tf_json_unescape(f->body, &plain, err);
		if (rc == 0)
			rc = tf_base64_decode(out, plain.data, plain.len, err);
		tf_buf_free(&plain);
	}
	if (rc < 0) {
		tf_err_prefix(err, "body");
		return TF_EFORMAT;
	}
	if (out->len > max_body)
		return tf_err_set(
			err, TF_ELIMIT, "body has %zu bytes, at most %zu are allowed", out->len, max_body);
	return 0;
}

static int read_fields(struct tf_json root, struct fields *f, struct tf_err *err)
{
	pick(root, (struct member[]){{"body", &f->body}, {"content-type", &f->content_type},
			   {"headers", &f->headers}, {"properties", &f->properties},
			   {"redelivered", &f->redelivered}, {0}});
	if (!f->properties.text || tf_json_type(f->properties) != TF_JSON_OBJECT)
		return tf_err_set(err, TF_EFORMAT, "properties is %s, not an object",
			f->properties.text ? tf_json_type_name(tf_json_type(f->properties)) : "missing");
	pick(f->properties,
		(struct member[]){{"type", &f->type}, {"reply_to", &f->reply_to},
			{"correlation_id", &f->correlation_id}, {"body_encoding", &f->body_encoding}, {0}});
	if (f->headers.text && tf_json_type(f->headers) == TF_JSON_OBJECT)
		pick(f->headers, (struct member[]){{TF_PEER_HEADER, &f->peer}, {0}});
	return 0;
}

int tf_kombu_file_read(
	const char *text, size_t len, size_t max_body, struct tf_kombu_file *out, struct tf_err *err)
{
	struct fields f = {0};
	struct tf_json root;
	int rc;

	*out = (struct tf_kombu_file){0};
	if ((rc = check_object(text, len, &root, err)) < 0)
		return rc;
	if ((rc = read_fields(root, &f, err)) < 0 ||
		(rc = read_string("content-type", f.content_type, &out->content_type, err)) < 0 ||
		(rc = read_string("properties.type", f.type, &out->type, err)) < 0 ||
		(rc = read_string("properties.reply_to", f.reply_to, &out->reply_to, err)) < 0 ||
		(rc = read_string("properties.correlation_id", f.correlation_id, &out->correlation_id, err)) <
			0 ||
		(rc = read_string("headers." TF_PEER_HEADER, f.peer, &out->peer, err)) < 0 ||
		(rc = read_body(&f, max_body, &out->body, err)) < 0) {
		tf_kombu_file_destroy(out);
		return rc;
	}
	out->m = (struct tf_message){
		.type = out->type,
		.reply_to = out->reply_to,
		.correlation_id = out->correlation_id,
		.content_type = out->content_type,
		.peer = out->peer,
		.body = out->body.data ? out->body.data : "",
		.body_len = out->body.len,
		.redelivered = f.redelivered.text && tf_json_type(f.redelivered) == TF_JSON_TRUE,
	};
	return 0;
}

void tf_kombu_file_destroy(struct tf_kombu_file *f)
{
	free(f->type);
	free(f->reply_to);
	free(f->correlation_id);
	free(f->content_type);
	free(f->peer);
	tf_buf_free(&f->body);
	*f = (struct tf_kombu_file){0};
}

bool tf_kombu_file_mark_redelivered(struct tf_buf *content)
{
	struct tf_json root = {0}, already;
	size_t end;

	if (!content->data || check_object(content->data, content->len, &root, NULL) < 0)
		return false;
	if (tf_json_get(root, "redelivered", &already) && tf_json_type(already) == TF_JSON_TRUE)
		return true;
	/* Of two equal keys the last one counts, for us as for Python. */
	end = (size_t)(root.text - content->data) + root.len - 1;
	content->len = end;
	tf_buf_puts(content, tf_json_count(root) ? ", \"redelivered\": true}" : "\"redelivered\": true}");
	return true;
}
