#include "protocol/peer.h"

#include <stddef.h>
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

/* What a member may be, and where it goes. */
enum member_kind {
	MEMBER_NUMBER,
	MEMBER_LIMIT,
	MEMBER_PRIORITY,
	MEMBER_ACTION,
	MEMBER_WORKER,
	MEMBER_HOST,
	MEMBER_HASH
};
struct member {
	const char *name;
	size_t len;
	enum member_kind kind;
	size_t offset;
};
#define MEMBER(text, kind, field) \
	{ \
		text, sizeof(text) - 1, MEMBER_##kind, offsetof(struct tf_peer, field) \
	}
static const struct member members[] = {
	MEMBER("worker", WORKER, worker),
	MEMBER("host", HOST, host),
	MEMBER("pid", NUMBER, pid),
	MEMBER("round", NUMBER, round),
	MEMBER("dispatch", NUMBER, dispatch),
	MEMBER("action", ACTION, action),
	MEMBER("generation", NUMBER, generation),
	MEMBER("hash", HASH, hash),
	MEMBER("ran_us", NUMBER, ran_us),
	MEMBER("full", NUMBER, full),
	MEMBER("slots", NUMBER, slots),
	MEMBER("busy", NUMBER, busy),
	MEMBER("waiting", NUMBER, waiting),
	MEMBER("once", NUMBER, once),
	MEMBER("cancel", NUMBER, cancel),
	MEMBER("drop", NUMBER, drop),
	MEMBER("ask", NUMBER, ask),
	MEMBER("given", NUMBER, given),
	MEMBER("echo", NUMBER, echo),
	MEMBER("expires", NUMBER, expires),
	MEMBER("ask_from", NUMBER, ask_from),
	MEMBER("priority", PRIORITY, priority),
	MEMBER("time_ms", LIMIT, limits.time_ms),
	MEMBER("warning_ms", LIMIT, limits.warning_ms),
	MEMBER("memory", LIMIT, limits.memory),
	MEMBER("arguments", LIMIT, limits.arguments),
	MEMBER("result", LIMIT, limits.result),
};

static const struct member *find_member(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (members[i].len == len && !memcmp(members[i].name, name, len))
			return &members[i];
	return NULL;
}

static bool read_into(const struct member *m, struct tf_json v, struct tf_peer *p)
{
	void *to = (char *)p + m->offset;
	switch (m->kind) {
	case MEMBER_NUMBER:
		return read_number(v, to);
	case MEMBER_LIMIT:
		return read_limit(v, to);
	case MEMBER_PRIORITY:
		return read_priority(v, to);
	case MEMBER_ACTION:
		return read_action(v, to);
	case MEMBER_WORKER:
		return read_worker(v, p);
	case MEMBER_HOST:
		return read_text(v, p->host, sizeof(p->host));
	case MEMBER_HASH:
		return read_text(v, p->hash, sizeof(p->hash));
	}
	return true;
}

/* A member of the header; false if it is one of ours and unusable. */
static bool read_member(struct tf_json key, struct tf_json v, struct tf_peer *p, int64_t *version)
{
	const char *name = key.text + 1;
	size_t len = key.len - 2;
	struct tf_buf plain = TF_BUF_INIT;
	if (memchr(name, '\\', len)) { /* we do not write that, but it means the same */
		if (tf_json_unescape(key, &plain, NULL) < 0) {
			tf_buf_free(&plain);
			return true; /* half a character: none of ours */
		}
		name = plain.len ? plain.data : "";
		len = plain.len;
	}
	const struct member *m = find_member(name, len);
	bool is_version = len == 1 && *name == 'v';
	tf_buf_free(&plain);
	if (is_version)
		return read_number(v, version);
	return !m || read_into(m, v, p);
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
	at = put_number(at, "slots", p->slots);
	at = put_number(at, "busy", p->busy);
	at = put_number(at, "waiting", p->waiting);
	at = put_number(at, "once", p->once);
	at = put_number(at, "cancel", p->cancel);
	at = put_number(at, "drop", p->drop);
	at = put_number(at, "ask", p->ask);
	at = put_number(at, "given", p->given);
	at = put_number(at, "echo", p->echo);
	at = put_number(at, "expires", p->expires);
	at = put_number(at, "ask_from", p->ask_from);
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
