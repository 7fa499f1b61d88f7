#include "pool/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	FRAME_MARK = 0x5446,    /* finds a stream that lost its place */
	FRAME_CHUNK = 64 << 10, /* bytes asked of one recv */
};

struct frame_kind {
	const char *name;
	unsigned fields;
};

static const struct frame_kind frame_kinds[] = {
#define X(name, fields) {#name, fields},
	TF_FRAME_TYPES(X)
#undef X
};

const char *tf_frame_type_name(enum tf_frame_type t)
{
	return (unsigned)t < TF_FRAME_TYPE_COUNT ? frame_kinds[t].name : "unknown";
}

int tf_frame_put(struct tf_buf *out, size_t max, enum tf_frame_type type, uint64_t id,
	const struct tf_slice *fields, struct tf_err *err)
{
	unsigned count = frame_kinds[type].fields;
	size_t body = 0;
	for (unsigned i = 0; i < count; i++) {
		if (fields[i].len > max)
			return tf_err_set(err, TF_ELIMIT,
				"%zu bytes are more than the limit of %zu for one message", fields[i].len,
				max);
		body += sizeof(uint32_t) + fields[i].len;
	}
	if (body > max || body > UINT32_MAX)
		return tf_err_set(err, TF_ELIMIT, "%zu bytes are more than the limit of %zu for one message",
			body, max);
	char header[TF_FRAME_HEADER];
	uint32_t length = (uint32_t)body;
	uint16_t mark = FRAME_MARK;
	memcpy(header, &length, 4);
	header[4] = (char)type;
	header[5] = (char)count;
	memcpy(header + 6, &mark, 2);
	memcpy(header + 8, &id, 8);
	tf_buf_reserve(out, sizeof(header) + body);
	tf_buf_append(out, header, sizeof(header));
	for (unsigned i = 0; i < count; i++) {
		length = (uint32_t)fields[i].len;
		tf_buf_append(out, &length, 4);
		if (length)
			tf_buf_append(out, fields[i].data, length);
	}
	return 0;
}

static struct tf_slice frame_text(const char *s)
{
	return (struct tf_slice){s, strlen(s)};
}

/* An absent value is an empty field: JSON text never is. */
static struct tf_slice frame_value(const struct tf_value *v)
{
	return v ? (struct tf_slice){tf_value_text(v), tf_value_len(v)} : (struct tf_slice){"", 0};
}

int tf_frame_put_request(
	struct tf_buf *out, size_t max, uint64_t id, const struct tf_request *r, struct tf_err *err)
{
	const struct tf_slice fields[11] = {
		frame_text(r->task_cls),
		frame_text(r->task_name),
		frame_value(r->task_version),
		frame_text(r->action == TF_REVERT ? "1" : "0"),
		frame_value(r->arguments),
		frame_text(!r->has_result     ? ""
			   : r->result_failed ? "1"
					      : "0"),
		frame_value(r->has_result ? r->result : NULL),
		frame_value(r->failures),
		{(const char *)&r->limits, sizeof(r->limits)},
		frame_text(r->flow ? r->flow : ""),
		frame_text(r->uuid ? r->uuid : ""),
	};
	return tf_frame_put(out, max, TF_FRAME_RUN, id, fields, err);
}

static int frame_get_fields(const char *body, size_t len, struct tf_frame *out, struct tf_err *err)
{
	size_t at = 0;
	for (unsigned i = 0; i < out->count; i++) {
		uint32_t n;
		if (len - at < sizeof(n))
			return tf_err_set(err, TF_EFORMAT, "frame %s: field %u begins beyond its end",
				tf_frame_type_name(out->type), i);
		memcpy(&n, body + at, sizeof(n));
		at += sizeof(n);
		if (len - at < n)
			return tf_err_set(err, TF_EFORMAT,
				"frame %s: field %u of %u bytes ends beyond its end",
				tf_frame_type_name(out->type), i, n);
		out->field[i] = (struct tf_slice){body + at, n};
		at += n;
	}
	if (at != len)
		return tf_err_set(err, TF_EFORMAT, "frame %s: %zu bytes after its last field",
			tf_frame_type_name(out->type), len - at);
	return 0;
}

int tf_frame_get(
	const char *data, size_t len, size_t max, struct tf_frame *out, size_t *used, struct tf_err *err)
{
	uint32_t length;
	uint16_t mark;
	*used = 0;
	if (len < TF_FRAME_HEADER)
		return 0;
	memcpy(&length, data, 4);
	memcpy(&mark, data + 6, 2);
	unsigned type = (unsigned char)data[4];
	if (mark != FRAME_MARK || type >= TF_FRAME_TYPE_COUNT)
		return tf_err_set(err, TF_EFORMAT, "no frame begins here (mark %#x, type %u)", mark, type);
	if (length > max)
		return tf_err_set(err, TF_ELIMIT, "frame %s of %u bytes: the limit is %zu",
			frame_kinds[type].name, length, max);
	*out = (struct tf_frame){.type = (enum tf_frame_type)type, .count = (unsigned char)data[5]};
	memcpy(&out->id, data + 8, 8);
	if (out->count != frame_kinds[type].fields)
		return tf_err_set(
			err, TF_EFORMAT, "frame %s with %u fields", frame_kinds[type].name, out->count);
	if (len - TF_FRAME_HEADER < length)
		return 0;
	int rc = frame_get_fields(data + TF_FRAME_HEADER, length, out, err);
	if (rc == 0)
		*used = TF_FRAME_HEADER + (size_t)length;
	return rc;
}

static bool frame_get_flag(const struct tf_frame *f, unsigned field, bool *out)
{
	if (f->field[field].len != 1 || (f->field[field].data[0] & ~1) != '0')
		return false;
	*out = f->field[field].data[0] == '1';
	return true;
}

static struct tf_value *frame_get_value(const struct tf_slice s)
{
	return s.len ? tf_value_from((struct tf_json){s.data, s.len}) : NULL;
}

static const char *frame_id(struct tf_slice field, char out[TF_LOG_ID_MAX + 1])
{
	size_t n = field.len < TF_LOG_ID_MAX ? field.len : TF_LOG_ID_MAX;
	memcpy(out, field.data, n);
	out[n] = '\0';
	return out;
}

void tf_frame_set_log_ids(const struct tf_frame *f)
{
	char atom[TF_LOG_ID_MAX + 1], flow[TF_LOG_ID_MAX + 1], request[TF_LOG_ID_MAX + 1];
	if (f->type != TF_FRAME_RUN)
		return;
	tf_log_set_ids(&(struct tf_log_ids){.atom = frame_id(f->field[1], atom),
		.flow = f->field[9].len ? frame_id(f->field[9], flow) : NULL,
		.request = frame_id(f->field[10], request)});
}

int tf_frame_get_request(const struct tf_frame *f, struct tf_request *out, struct tf_err *err)
{
	bool revert;
	*out = (struct tf_request){0};
	if (f->type != TF_FRAME_RUN || !frame_get_flag(f, 3, &revert) || !f->field[4].len ||
		f->field[8].len != sizeof(out->limits))
		return tf_err_set(err, TF_EFORMAT, "frame %s is no request", tf_frame_type_name(f->type));
	out->has_result = f->field[5].len > 0;
	if (out->has_result && (!frame_get_flag(f, 5, &out->result_failed) || !f->field[6].len))
		return tf_err_set(err, TF_EFORMAT, "frame RUN: bad result");
	out->action = revert ? TF_REVERT : TF_EXECUTE;
	out->task_cls = tf_strndup(f->field[0].data, f->field[0].len);
	out->task_name = tf_strndup(f->field[1].data, f->field[1].len);
	out->task_version = frame_get_value(f->field[2]);
	out->arguments = frame_get_value(f->field[4]);
	out->result = frame_get_value(f->field[6]);
	out->failures = frame_get_value(f->field[7]);
	memcpy(&out->limits, f->field[8].data, sizeof(out->limits));
	return 0;
}

struct tf_slice tf_frame_u64(const uint64_t *value)
{
	return (struct tf_slice){(const char *)value, sizeof(*value)};
}

int tf_frame_get_u64(const struct tf_frame *f, unsigned field, uint64_t *out, struct tf_err *err)
{
	if (field >= f->count || f->field[field].len != sizeof(*out))
		return tf_err_set(err, TF_EFORMAT, "frame %s: field %u is no number",
			tf_frame_type_name(f->type), field);
	memcpy(out, f->field[field].data, sizeof(*out));
	return 0;
}

int tf_frame_send(int fd, struct tf_buf *out, struct tf_err *err)
{
	size_t sent = 0;
	while (sent < out->len) {
		ssize_t n = send(fd, out->data + sent, out->len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			tf_buf_reset(out);
			return errno == EPIPE || errno == ECONNRESET
				       ? tf_err_set(err, TF_ECLOSED, "the peer is gone")
				       : tf_err_sys(err, "send");
		}
		sent += (size_t)n;
	}
	tf_buf_reset(out);
	return 0;
}

int tf_frame_pass(int fd, const struct tf_buf *frame, int passed, struct tf_err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {frame->data, frame->len};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(int));
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return tf_err_sys(err, "passing a descriptor");
	/* Never seen: a socket takes so few bytes at once or not at all. */
	return (size_t)n < frame->len ? tf_err_set(err, TF_ESTATE, "passing a descriptor: short write") : 0;
}

/* The descriptor that came with a message, or -1. More than one is not ours: all are closed. */
static int frame_take_fd(struct msghdr *msg)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int got;
			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (fd < 0)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

/* One recv into `in`. A descriptor arrives with the first byte of its frame. */
static int frame_fill(int fd, struct tf_buf *in, size_t want, int *passed, struct tf_err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	tf_buf_reserve(in, want);
	struct iovec iov = {in->data + in->len, want};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (passed) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
	}
	ssize_t n;
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? tf_err_set(err, TF_ECLOSED, "the peer is gone")
					   : tf_err_sys(err, "recvmsg");
	if (n == 0)
		return tf_err_set(err, TF_ECLOSED, "the peer is gone");
	in->len += (size_t)n;
	int got = passed ? frame_take_fd(&msg) : -1;
	if (got >= 0) {
		if (*passed >= 0)
			close(*passed);
		*passed = got;
	}
	return 0;
}

int tf_frame_recv(int fd, struct tf_buf *in, size_t max, struct tf_frame *out, size_t *used, int *passed,
	struct tf_err *err)
{
	if (passed)
		*passed = -1;
	for (;;) {
		int rc = tf_frame_get(in->len ? in->data : "", in->len, max, out, used, err);
		if (rc < 0 || *used > 0)
			return rc;
		/* Frames that carry descriptors are read one by one, so that none takes another's. */
		size_t want = FRAME_CHUNK;
		if (passed && in->len < TF_FRAME_HEADER)
			want = TF_FRAME_HEADER - in->len;
		else if (in->len >= TF_FRAME_HEADER) {
			uint32_t length;
			memcpy(&length, in->data, 4);
			size_t rest = TF_FRAME_HEADER + (size_t)length - in->len;
			if (passed || rest > want)
				want = rest;
		}
		rc = frame_fill(fd, in, want, passed, err);
		if (rc < 0)
			return rc;
	}
}
