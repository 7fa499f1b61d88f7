/* Any bytes as base64 text, and as what is to be encoded. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inspect_decoder(const char *text, size_t size)
{
	struct tf_buf bytes = TF_BUF_INIT, again = TF_BUF_INIT;
	struct tf_err err;
	if (tf_base64_decode(&bytes, text, size, &err) == 0) {
		TF_ASSERT(bytes.len <= size / 4 * 3);
		tf_base64_encode(&again, bytes.data, bytes.len);
		/* The last character before the padding may carry bits that are not used. */
		size_t same = size && text[size - 1] == '=' ? size - 4 : size;
		TF_ASSERT(again.len == size && (same == 0 || memcmp(again.data, text, same) == 0));
	} else {
		TF_ASSERT(err.code == TF_EFORMAT && err.message[0] && bytes.len == 0);
	}
	tf_buf_free(&bytes);
	tf_buf_free(&again);
}

static void inspect_encoder(const uint8_t *data, size_t size)
{
	struct tf_buf text = TF_BUF_INIT, bytes = TF_BUF_INIT;
	tf_base64_encode(&text, data, size);
	TF_ASSERT(text.len == (size + 2) / 3 * 4);
	TF_ASSERT(tf_base64_decode(&bytes, text.data, text.len, NULL) == 0);
	TF_ASSERT(bytes.len == size && (size == 0 || memcmp(bytes.data, data, size) == 0));
	tf_buf_free(&text);
	tf_buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	inspect_decoder((const char *)data, size);
	inspect_encoder(data, size);
	return 0;
}
