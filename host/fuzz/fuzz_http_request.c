/* Any bytes as the head of a request, arriving at once and in two pieces: one of the statuses, and a path inside the text. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "control/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tf_http_request whole = {0}, part = {0};
	char *text = tf_malloc(size + 1); /* so that a byte too far is seen */
	size_t half = size / 2;
	memcpy(text, data, size);
	int status = tf_http_request(text, size, &whole);
	int early = tf_http_request(text, half, &part);
	TF_ASSERT(status == 0 || status == 200 || status == 400 || status == 405 || status == 431 ||
		  status == 505);
	TF_ASSERT(early == 0 || early == 431 || status == early || status == 431);
	TF_ASSERT(size < TF_HTTP_HEAD_MAX || status != 0);
	if (status == 200) {
		TF_ASSERT(whole.path >= text && whole.path + whole.path_len <= text + size);
		TF_ASSERT(whole.path_len > 0 && whole.path[0] == '/');
	}
	free(text);
	return 0;
}
