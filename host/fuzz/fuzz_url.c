/* Any text as a URL list: accepted or refused, never a crash, a leak, or a password in the log form. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "transport/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const transports[] = {NULL, "amqp", "amqps", "memory", "filesystem", "nonsense"};
	struct tf_url_list list, again;
	struct tf_err err;
	char *text;
	size_t i;

	if (size == 0)
		return 0;
	text = tf_strndup((const char *)data + 1, size - 1);
	if (tf_url_parse_list(text, transports[data[0] % 6], &list, &err) == 0) {
		TF_ASSERT(list.count > 0);
		for (i = 0; i < list.count; i++) {
			char *redacted = tf_url_redact(&list.urls[i]);

			/* What we print is a URL of the same place. */
			if (!strchr(redacted, ';') && tf_url_parse_list(redacted, NULL, &again, NULL) == 0) {
				TF_ASSERT(strcmp(again.urls[0].scheme, list.urls[i].scheme) == 0);
				TF_ASSERT(again.urls[0].port == list.urls[i].port);
				tf_url_list_free(&again);
			}
			free(redacted);
		}
		tf_url_list_free(&list);
	} else {
		TF_ASSERT(list.count == 0 && err.code < 0);
	}
	free(text);
	return 0;
}
