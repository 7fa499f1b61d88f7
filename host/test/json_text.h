/* Literal JSON in tests. */
#ifndef TF_TEST_JSON_TEXT_H
#define TF_TEST_JSON_TEXT_H

#include "base/json.h"

/* Text -> root; fails the test if the text is not valid. */
struct tf_json json_text_parse(const char *text);

#endif
