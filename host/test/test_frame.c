/* Frames: what is written is read, in whatever pieces it comes; nothing else is. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include "base/mem.h"
#include "pool/frame.h"

static const struct tf_slice two[] = {{"progress", 8}, {"{\"a\": 1}", 8}};

static void put_event(struct tf_buf *b, uint64_t id)
{
	assert_int_equal(tf_frame_put(b, 1000, TF_FRAME_EVENT, id, two, NULL), 0);
}

static void in_pieces(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	struct tf_frame f;
	struct tf_err err;
	size_t used;
	put_event(&b, 0x1122334455667788u);
	size_t first = b.len;
	put_event(&b, 2);
	for (size_t n = 0; n < first; n++) {
		assert_int_equal(tf_frame_get(b.data, n, 1000, &f, &used, &err), 0);
		assert_int_equal(used, 0);
	}
	assert_int_equal(tf_frame_get(b.data, b.len, 1000, &f, &used, &err), 0);
	assert_int_equal(used, first);
	assert_int_equal(f.type, TF_FRAME_EVENT);
	assert_true(f.id == 0x1122334455667788u);
	assert_int_equal(f.count, 2);
	assert_int_equal(f.field[0].len, 8);
	assert_memory_equal(f.field[1].data, two[1].data, 8);
	assert_int_equal(tf_frame_get(b.data + used, b.len - used, 1000, &f, &used, &err), 0);
	assert_int_equal(f.id, 2);
	tf_buf_free(&b);
}

static void limits(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	struct tf_frame f;
	struct tf_err err;
	size_t used;
	/* the limit is the length after the header: two lengths and 16 bytes here */
	assert_int_equal(tf_frame_put(&b, 23, TF_FRAME_EVENT, 1, two, &err), TF_ELIMIT);
	assert_int_equal(b.len, 0);
	assert_int_equal(tf_frame_put(&b, 24, TF_FRAME_EVENT, 1, two, &err), 0);
	assert_int_equal(tf_frame_get(b.data, b.len, 24, &f, &used, &err), 0);
	assert_int_equal(used, b.len);
	/* known from the header alone: nothing of a frame too large is collected */
	assert_int_equal(tf_frame_get(b.data, TF_FRAME_HEADER, 23, &f, &used, &err), TF_ELIMIT);
	const struct tf_slice huge[] = {{"", 0}, {"", SIZE_MAX}};
	assert_int_equal(tf_frame_put(&b, TF_FRAME_HEADER + 100, TF_FRAME_DONE, 1, huge, &err), TF_ELIMIT);
	tf_buf_free(&b);
}

/* Every single byte changed to every value: refused, or read without touching a byte beyond. */
static void damaged(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	put_event(&b, 7);
	unsigned refused = 0;
	for (size_t i = 0; i < b.len; i++) {
		for (unsigned v = 0; v < 256; v++) {
			char *copy = tf_malloc(b.len); /* exact, so that sanitizers see an overrun */
			struct tf_frame f;
			struct tf_err err = {0};
			size_t used;
			memcpy(copy, b.data, b.len);
			copy[i] = (char)v;
			int rc = tf_frame_get(copy, b.len, 1000, &f, &used, &err);
			assert_true(rc == 0 || rc == TF_EFORMAT || rc == TF_ELIMIT);
			assert_true(rc == 0 || err.message[0]);
			refused += rc < 0;
			free(copy);
		}
	}
	assert_true(refused > 1000);
	tf_buf_free(&b);
}

static struct tf_value *parse(const char *text)
{
	return tf_value_parse(text, strlen(text), 0, NULL);
}

static void check_request(const struct tf_request *r)
{
	struct tf_buf b = TF_BUF_INIT;
	struct tf_frame f;
	struct tf_request out;
	struct tf_err err;
	size_t used;
	assert_int_equal(tf_frame_put_request(&b, 10000, 5, r, &err), 0);
	assert_int_equal(tf_frame_get(b.data, b.len, 10000, &f, &used, &err), 0);
	assert_int_equal(used, b.len);
	assert_int_equal(tf_frame_get_request(&f, &out, &err), 0);
	assert_string_equal(out.task_cls, r->task_cls);
	assert_string_equal(out.task_name, r->task_name);
	assert_int_equal(out.action, r->action);
	assert_int_equal(out.has_result, r->has_result);
	assert_int_equal(out.result_failed, r->result_failed);
	assert_string_equal(tf_value_text(out.arguments), tf_value_text(r->arguments));
	assert_int_equal(!out.result, !r->result);
	assert_int_equal(!out.failures, !r->failures);
	if (r->result)
		assert_string_equal(tf_value_text(out.result), tf_value_text(r->result));
	if (r->failures)
		assert_string_equal(tf_value_text(out.failures), tf_value_text(r->failures));
	tf_request_free(&out);
	tf_buf_free(&b);
}

static void requests(void **state)
{
	(void)state;
	struct tf_request r = {
		.task_cls = (char *)"tasks.A", .task_name = (char *)"", .arguments = parse("{\"x\": 1.0}")};
	check_request(&r);
	r.task_version = parse("[1, 0]");
	r.action = TF_REVERT;
	check_request(&r);
	r.has_result = true;
	r.result = parse("null");
	check_request(&r);
	r.result_failed = true;
	r.failures = parse("{}");
	check_request(&r);
	tf_value_unref(r.task_version);
	tf_value_unref(r.arguments);
	tf_value_unref(r.result);
	tf_value_unref(r.failures);
	/* other frames are no requests */
	struct tf_buf b = TF_BUF_INIT;
	struct tf_frame f;
	struct tf_request out;
	struct tf_err err;
	size_t used;
	put_event(&b, 1);
	assert_int_equal(tf_frame_get(b.data, b.len, 1000, &f, &used, &err), 0);
	assert_int_equal(tf_frame_get_request(&f, &out, &err), TF_EFORMAT);
	tf_buf_free(&b);
}

static void blocking_ends(void **state)
{
	(void)state;
	int pair[2];
	struct tf_buf out = TF_BUF_INIT, in = TF_BUF_INIT;
	struct tf_frame f;
	struct tf_err err;
	size_t used;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (uint64_t i = 0; i < 3; i++)
		put_event(&out, i);
	tf_buf_append(&out, out.data, 5); /* and the beginning of one more */
	assert_int_equal(tf_frame_send(pair[0], &out, &err), 0);
	assert_int_equal(out.len, 0);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(tf_frame_recv(pair[1], &in, 1000, &f, &used, NULL, &err), 0);
		assert_int_equal(f.id, i);
		tf_buf_consume(&in, used);
	}
	close(pair[0]);
	assert_int_equal(tf_frame_recv(pair[1], &in, 1000, &f, &used, NULL, &err), TF_ECLOSED);
	put_event(&out, 9);
	assert_int_equal(tf_frame_send(pair[1], &out, &err), TF_ECLOSED);
	close(pair[1]);
	tf_buf_free(&in);
	tf_buf_free(&out);
}

/* Two frames with a descriptor each, sent before either is read: none takes the other's. */
static void descriptors(void **state)
{
	(void)state;
	int pair[2];
	struct tf_buf in = TF_BUF_INIT;
	struct tf_err err;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	int sent[2] = {open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY)};
	for (uint64_t i = 0; i < 2; i++) {
		struct tf_buf b = TF_BUF_INIT;
		const struct tf_slice field = tf_frame_u64(&i);
		tf_frame_put(&b, 100, TF_FRAME_FORK, i, &field, NULL);
		union {
			char bytes[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = {{0}};
		struct iovec iov = {b.data, b.len};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &sent[i], sizeof(int));
		assert_int_equal(sendmsg(pair[0], &msg, 0), b.len);
		close(sent[i]);
		tf_buf_free(&b);
	}
	for (uint64_t i = 0; i < 2; i++) {
		struct tf_frame f;
		size_t used;
		int fd;
		char byte;
		assert_int_equal(tf_frame_recv(pair[1], &in, 100, &f, &used, &fd, &err), 0);
		assert_int_equal(f.id, i);
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(read(fd, &byte, 1), i); /* null is empty, zero is not */
		close(fd);
		tf_buf_consume(&in, used);
	}
	tf_buf_free(&in);
	close(pair[0]);
	close(pair[1]);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(tf_frame_type_name(TF_FRAME_LOADED), "LOADED");
	assert_string_equal(tf_frame_type_name(TF_FRAME_TYPE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(in_pieces), cmocka_unit_test(limits),
		cmocka_unit_test(damaged), cmocka_unit_test(requests), cmocka_unit_test(blocking_ends),
		cmocka_unit_test(descriptors), cmocka_unit_test(names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
