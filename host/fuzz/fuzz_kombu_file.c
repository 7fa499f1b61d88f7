/* Any bytes as a kombu message file: read, refused or not complete yet. What was read is written and
 * read again without a change. The first line of the input is the file's name. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "transport/kombu_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void write_and_read(struct tf_message m)
{
	struct tf_buf text = TF_BUF_INIT;
	struct tf_kombu_file again;

	m.topic = "t";
	TF_ASSERT(tf_kombu_file_write(&text, &m, "ex", "tag", NULL) == 0);
	TF_ASSERT(tf_kombu_file_read(text.data, text.len, m.body_len, &again, NULL) == 0);
	TF_ASSERT(same(m.type, again.m.type) && same(m.reply_to, again.m.reply_to));
	TF_ASSERT(same(m.correlation_id, again.m.correlation_id) && same(m.peer, again.m.peer));
	TF_ASSERT(m.redelivered == again.m.redelivered && m.body_len == again.m.body_len);
	TF_ASSERT(memcmp(m.body, again.m.body, m.body_len) == 0);
	tf_kombu_file_destroy(&again);
	tf_buf_free(&text);
}

static void check_content(const char *text, size_t len)
{
	struct tf_buf copy = TF_BUF_INIT;
	struct tf_kombu_file file;
	struct tf_err err;
	int rc = tf_kombu_file_read(text, len, 1 << 16, &file, &err);

	tf_buf_append(&copy, text, len);
	if (rc == 0) {
		write_and_read(file.m);
		tf_kombu_file_destroy(&file);
		TF_ASSERT(tf_kombu_file_mark_redelivered(&copy));
		TF_ASSERT(tf_kombu_file_read(copy.data, copy.len, 1 << 16, &file, &err) == 0);
		TF_ASSERT(file.m.redelivered);
		tf_kombu_file_destroy(&file);
	} else {
		TF_ASSERT(err.code == rc);
	}
	tf_buf_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t name_len = end ? (size_t)(end - data) : 0, skip = end ? name_len + 1 : 0;
	char *name = tf_strndup((const char *)data, name_len);
	char *text = tf_malloc(size - skip + 1); /* exact but for a byte: over-reads show */
	struct tf_kombu_name parsed;

	if (tf_kombu_name_parse(name, &parsed))
		TF_ASSERT(parsed.queue_len > 0 && parsed.queue + parsed.queue_len + 4 == name + strlen(name));
	if (size > skip)
		memcpy(text, data + skip, size - skip);
	check_content(text, size - skip);
	free(name);
	free(text);
	return 0;
}
