#include "flow_text.h"

#include <stdbool.h>
#include <string.h>

#include "cmocka_all.h"

struct fixture *flow_made(const char *flow, const char *options)
{
	struct tf_err err;
	struct fixture *f = fixture_new(flow, options, &err);
	if (!f)
		fail_msg("%s", err.message);
	return f;
}

void flow_go(struct fixture *f)
{
	struct tf_err err;
	if (fixture_run(f, &err) != 0)
		fail_msg("%s", err.message);
}

struct fixture *flow_ran(const char *flow, const char *options)
{
	struct fixture *f = flow_made(flow, options);
	flow_go(f);
	return f;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

void flow_assert_ends_in(const char *text, const char *end)
{
	if (!ends_in(text, end))
		fail_msg("\"%s\" does not end in \"%s\"", text, end);
}

void flow_assert_state(const struct fixture *f, const char *atom, const char *expected)
{
	assert_string_equal(fixture_state(f, atom), expected);
}
