#include "protocol/peer.h"

#include <stdio.h>
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

/* Text member without escapes into a fixed buffer. False if present but unusable. */
static bool read_text(struct tf_json header, const char *name, char *out, size_t cap)
{
	struct tf_json v;
	out[0] = '\0';
	if (!tf_json_get(header, name, &v))
		return true;
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

static bool read_number(struct tf_json header, const char *name, int64_t *out)
{
	struct tf_json v;
	*out = -1;
	if (!tf_json_get(header, name, &v))
		return true;
	return tf_json_int64(v, out) && *out >= 0;
}

static bool read_action(struct tf_json header, int *out)
{
	struct tf_json v;
	*out = -1;
	if (!tf_json_get(header, "action", &v))
		return true;
	if (tf_json_type(v) != TF_JSON_STRING)
		return false;
	for (int a = TF_EXECUTE; a <= TF_REVERT; a++) {
		if (tf_json_string_is(v, tf_action_name((enum tf_action)a)))
			*out = a;
	}
	return *out >= 0;
}

struct tf_peer tf_peer_parse(const char *text)
{
	struct tf_peer p = TF_PEER_INIT;
	const struct tf_peer absent = {.pid = -1, .round = -1, .dispatch = -1, .action = -1};
	struct tf_json header;
	int64_t version;

	if (!text || strnlen(text, MAX_TEXT + 1) > MAX_TEXT ||
		tf_json_validate(text, strlen(text), MAX_DEPTH, &header, NULL) < 0 ||
		tf_json_type(header) != TF_JSON_OBJECT || !read_number(header, "v", &version) ||
		version < 1 || !read_text(header, "worker", p.worker, sizeof(p.worker)) ||
		(p.worker[0] && !tf_peer_is_uuid(p.worker)) ||
		!read_text(header, "host", p.host, sizeof(p.host)) || !read_number(header, "pid", &p.pid) ||
		!read_number(header, "round", &p.round) || !read_number(header, "dispatch", &p.dispatch) ||
		!read_action(header, &p.action))
		return absent;
	return p;
}

static size_t put(char *buf, size_t at, const char *name, const char *text)
{
	return text[0] ? at + (size_t)snprintf(buf + at, TF_PEER_MAX - at, ",\"%s\":\"%s\"", name, text) : at;
}

static size_t put_number(char *buf, size_t at, const char *name, int64_t n)
{
	if (n < 0)
		return at;
	return at + (size_t)snprintf(buf + at, TF_PEER_MAX - at, ",\"%s\":%lld", name, (long long)n);
}

const char *tf_peer_write(const struct tf_peer *p, char buf[TF_PEER_MAX])
{
	size_t at = (size_t)snprintf(buf, TF_PEER_MAX, "{\"v\":1");
	at = put(buf, at, "worker", p->worker);
	at = put(buf, at, "host", p->host);
	at = put_number(buf, at, "pid", p->pid);
	at = put_number(buf, at, "round", p->round);
	at = put_number(buf, at, "dispatch", p->dispatch);
	if (p->action >= 0)
		at = put(buf, at, "action", tf_action_name((enum tf_action)p->action));
	TF_ASSERT(at + 1 < TF_PEER_MAX);
	memcpy(buf + at, "}", 2);
	return buf;
}
