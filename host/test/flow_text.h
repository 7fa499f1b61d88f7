/* Flows in the notation of engine_fixture.h, as short as can be, and what tests ask of their runs. */
#ifndef TF_TEST_FLOW_TEXT_H
#define TF_TEST_FLOW_TEXT_H

#include "engine_fixture.h"

/* Children, up to seven, with commas between. */
#define J1(a) a
#define J2(a, ...) a ", " J1(__VA_ARGS__)
#define J3(a, ...) a ", " J2(__VA_ARGS__)
#define J4(a, ...) a ", " J3(__VA_ARGS__)
#define J5(a, ...) a ", " J4(__VA_ARGS__)
#define J6(a, ...) a ", " J5(__VA_ARGS__)
#define J7(a, ...) a ", " J6(__VA_ARGS__)
#define PICK(j1, j2, j3, j4, j5, j6, j7, j, ...) j
#define JOIN(...) PICK(__VA_ARGS__, J7, J6, J5, J4, J3, J2, J1, 0)(__VA_ARGS__)
#define FLOW(kind, name, rest, ...) \
	"{\"kind\": \"" kind "\", \"name\": \"" name "\", " rest "\"children\": [" JOIN(__VA_ARGS__) "]}"
#define TASK(name) "{\"name\": \"" name "\"}"
#define FAILS(name, n) "{\"name\": \"" name "\", \"fail\": " n "}"
#define RETRY(cls, name, rest) "\"retry\": {\"class\": \"" cls "\", \"name\": \"" name "\"" rest "}, "
#define QUIRKS "{\"reference_quirks\": true}"

/* Both fail the test instead of returning an error. `options`: as fixture_new's. The caller deletes the fixture. */
struct fixture *flow_made(const char *flow, const char *options);
void flow_go(struct fixture *f);
/* Made and run to its end. */
struct fixture *flow_ran(const char *flow, const char *options);

void flow_assert_ends_in(const char *text, const char *end);
/* fixture_state(f, atom) is this. */
void flow_assert_state(const struct fixture *f, const char *atom, const char *expected);

#endif
