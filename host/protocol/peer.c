#include "protocol/peer.h"

#include <string.h>

#include "base/json.h"
#include "base/uuid.h"
#include "protocol/message.h"

#define MAX_TEXT 2048 /* a longer header is not one of ours, whatever it says */
#define MAX_DEPTH 8

bool tf_peer_is_uuid(const char *text)
{
	size_t i;
	for (i = 0; i < TF_UUID_LEN && text[i]; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
			return false;
	}
	return i == TF_UUID_LEN && text[i] == '\0';
}

/* Text without escapes into a fixed buffer. False if it is unusable. */
static bool read_text(struct tf_json v, char *out, size_t cap)
{
	if (tf_json_type(v) != TF_JSON_STRING || v.len - 2 >= cap || memchr(v.text, '\\', v.len))
		return false;
	for (size_t i = 1; i + 1 < v.len; i++) {
		unsigned char c = (unsigned char)v.text[i];
		if (c <= 0x20 || c >= 0x7f)
			return false;
	}
	memcpy(out, v.text + 1, v.len - 2);
	out[v.len - 2] = '\0';
	return true;
}

static bool read_number(struct tf_json v, int64_t *out)
{
	return tf_json_int64(v, out) && *out >= 0;
}

static bool read_priority(struct tf_json v, int *out)
{
	int64_t n;
	if (!tf_json_int64(v, &n) || n < INT32_MIN || n > INT32_MAX)
		return false;
	*out = (int)n;
	return true;
}

static bool read_action(struct tf_json v, int *out)
{
	*out = -1;
	if (tf_json_type(v) != TF_JSON_STRING)
		return false;
	for (int a = TF_EXECUTE; a <= TF_REVERT; a++) {
		if (tf_json_string_is(v, tf_action_name((enum tf_action)a)))
			*out = a;
	}
	return *out >= 0;
}

static bool read_worker(struct tf_json v, struct tf_peer *p)
{
	return read_text(v, p->worker, sizeof(p->worker)) && (!p->worker[0] || tf_peer_is_uuid(p->worker));
}

static bool read_limit(struct tf_json v, uint64_t *out)
{
	int64_t n;
	if (!read_number(v, &n))
		return false;
	*out = (uint64_t)n;
	return true;
}

/* A member of the header; false if it is one of ours and unusable. */
static bool read_member(struct tf_json key, struct tf_json v, struct tf_peer *p, int64_t *version)
{
	if (tf_json_string_is(key, "v"))
		return read_number(v, version);
	if (tf_json_string_is(key, "worker"))
		return read_worker(v, p);
	if (tf_json_string_is(key, "host"))
		return read_text(v, p->host, sizeof(p->host));
	if (tf_json_string_is(key, "pid"))
		return read_number(v, &p->pid);
	if (tf_json_string_is(key, "round"))
		return read_number(v, &p->round);
	if (tf_json_string_is(key, "full"))
		return read_number(v, &p->full);
	if (tf_json_string_is(key, "once"))
		return read_number(v, &p->once);
	if (tf_json_string_is(key, "cancel"))
		return read_number(v, &p->cancel);
	if (tf_json_string_is(key, "expires"))
		return read_number(v, &p->expires);
	if (tf_json_string_is(key, "time_ms"))
		return read_limit(v, &p->limits.time_ms);
	if (tf_json_string_is(key, "warning_ms"))
		return read_limit(v, &p->limits.warning_ms);
	if (tf_json_string_is(key, "memory"))
		return read_limit(v, &p->limits.memory);
	if (tf_json_string_is(key, "arguments"))
		return read_limit(v, &p->limits.arguments);
	if (tf_json_string_is(key, "result"))
		return read_limit(v, &p->limits.result);
	if (tf_json_string_is(key, "priority"))
		return read_priority(v, &p->priority);
	if (tf_json_string_is(key, "dispatch"))
		return read_number(v, &p->dispatch);
	if (tf_json_string_is(key, "action"))
		return read_action(v, &p->action);
	if (tf_json_string_is(key, "generation"))
		return read_number(v, &p->generation);
	if (tf_json_string_is(key, "hash"))
		return read_text(v, p->hash, sizeof(p->hash));
	if (tf_json_string_is(key, "ran_us"))
		return read_number(v, &p->ran_us);
	return true;
}

struct tf_peer tf_peer_parse(const char *text)
{
	struct tf_peer p = TF_PEER_INIT;
	struct tf_peer absent = TF_PEER_INIT;
	struct tf_json header, key, v;
	struct tf_json_iter it;
	int64_t version = -1;
	absent.present = false;

	if (!text || strnlen(text, MAX_TEXT + 1) > MAX_TEXT ||
		tf_json_validate(text, strlen(text), MAX_DEPTH, &header, NULL) < 0 ||
		tf_json_type(header) != TF_JSON_OBJECT)
		return absent;
	it = tf_json_iter(header);
	while (tf_json_next(&it, &key, &v))
		if (!read_member(key, v, &p, &version))
			return absent;
	return version < 1 ? absent : p;
}

static char *put(char *at, const char *text)
{
	return stpcpy(at, text);
}

static char *put_text(char *at, const char *name, const char *text)
{
	return text[0] ? put(put(put(put(put(at, ",\""), name), "\":\""), text), "\"") : at;
}

static char *put_integer(char *at, const char *name, int64_t n)
{
	char digits[21], *d = digits + sizeof(digits);
	uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
	*--d = '\0';
	do
		*--d = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (n < 0)
		*--d = '-';
	return put(put(put(put(at, ",\""), name), "\":"), d);
}

/* Below zero: absent. */
static char *put_number(char *at, const char *name, int64_t n)
{
	return n < 0 ? at : put_integer(at, name, n);
}

static char *put_limit(char *at, const char *name, uint64_t n)
{
	return n ? put_number(at, name, (int64_t)n) : at;
}

const char *tf_peer_write(const struct tf_peer *p, char buf[TF_PEER_MAX])
{
	char *at = put(buf, "{\"v\":1");
	at = put_text(at, "worker", p->worker);
	at = put_text(at, "host", p->host);
	at = put_number(at, "pid", p->pid);
	at = put_number(at, "round", p->round);
	at = put_number(at, "dispatch", p->dispatch);
	at = put_number(at, "full", p->full);
	at = put_number(at, "once", p->once);
	at = put_number(at, "cancel", p->cancel);
	at = put_number(at, "expires", p->expires);
	at = put_limit(at, "time_ms", p->limits.time_ms);
	at = put_limit(at, "warning_ms", p->limits.warning_ms);
	at = put_limit(at, "memory", p->limits.memory);
	at = put_limit(at, "arguments", p->limits.arguments);
	at = put_limit(at, "result", p->limits.result);
	if (p->priority)
		at = put_integer(at, "priority", p->priority);
	if (p->action >= 0)
		at = put_text(at, "action", tf_action_name((enum tf_action)p->action));
	at = put_number(at, "generation", p->generation);
	at = put_text(at, "hash", p->hash);
	at = put_number(at, "ran_us", p->ran_us);
	at = put(at, "}");
	TF_ASSERT(at < buf + TF_PEER_MAX); /* 37 + 64 + 16 bytes of text, ten numbers, names: about 350 */
	return buf;
}
