/* What tests of both sides of the worker-based engine call who talks, and what they talk about. */
#ifndef TF_TEST_WBE_NAMES_H
#define TF_TEST_WBE_NAMES_H

#define FLOW "6227eb8f-222c-44bd-8b77-78f8133307bb" /* an engine: its own topic */
#define W1 "00000000-0000-4000-8000-000000000001"   /* workers */
#define W2 "00000000-0000-4000-8000-000000000002"
#define A1 "aaaaaaaa-0000-4000-8000-000000000001" /* atoms */
#define A2 "aaaaaaaa-0000-4000-8000-000000000002"
#define A3 "aaaaaaaa-0000-4000-8000-000000000003"
#define A4 "aaaaaaaa-0000-4000-8000-000000000004"
#define GOOD_FAILURE \
	"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"E\", \"Exception\"], " \
	"\"version\": 1}"

#endif
