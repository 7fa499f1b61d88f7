#include "json_text.h"

#include <string.h>

#include "test/cmocka_all.h"

struct tf_json json_text_parse(const char *text)
{
	struct tf_json root;
	struct tf_err err;
	if (tf_json_validate(text, strlen(text), 0, &root, &err))
		fail_msg("%s: %s", text, err.message);
	return root;
}
