#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock_fake.h"
#include "cmocka_all.h"
#include "wbe/digest.h"
#include "wbe/ledger.h"

static const char *get(struct tf_ledger *l, const char *key)
{
	size_t len;
	static char copy[64];
	const char *body = tf_ledger_get(l, key, &len);
	if (!body)
		return NULL;
	assert_true(len < sizeof(copy));
	memcpy(copy, body, len);
	copy[len] = '\0';
	return copy;
}

static void remembers_and_replaces(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_ledger *l = tf_ledger_new(
		&clock.clock, &(struct tf_ledger_limits){.count = 3, .bytes = 10000, .age_ms = 1000});
	assert_null(get(l, "a"));
	tf_ledger_put(l, "a", "1", 1);
	tf_ledger_put(l, "b", "", 0);
	tf_ledger_put(l, "a", "two", 3);
	assert_string_equal(get(l, "a"), "two");
	assert_string_equal(get(l, "b"), "");
	assert_int_equal(tf_ledger_count(l), 2);
	tf_ledger_delete(l);
}

static void forgets_by_count_age_and_bytes(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_ledger *l = tf_ledger_new(
		&clock.clock, &(struct tf_ledger_limits){.count = 3, .bytes = 10000, .age_ms = 1000});
	tf_ledger_put(l, "a", "1", 1);
	tf_ledger_put(l, "b", "2", 1);
	tf_ledger_put(l, "c", "3", 1);
	tf_ledger_put(l, "d", "4", 1);
	assert_null(get(l, "a"));
	assert_string_equal(get(l, "b"), "2");
	tf_clock_fake_advance(&clock, 999);
	assert_string_equal(get(l, "d"), "4");
	tf_ledger_put(l, "e", "5", 1);
	tf_clock_fake_advance(&clock, 1);
	assert_null(get(l, "d"));
	assert_string_equal(get(l, "e"), "5");

	static char large[20000];
	tf_ledger_put(l, "large", large, sizeof(large)); /* not kept, and pushes nobody out */
	assert_null(get(l, "large"));
	assert_string_equal(get(l, "e"), "5");
	tf_ledger_put(l, "half", large, 5000);
	assert_int_equal(tf_ledger_count(l), 2);
	tf_ledger_put(l, "half2", large, 4900);
	assert_true(tf_ledger_bytes(l) <= 10000);
	assert_int_equal(tf_ledger_count(l), 1);
	tf_ledger_put(l, "half2", large, 20000); /* the earlier outcome is not the answer any more */
	assert_int_equal(tf_ledger_count(l), 0);
	assert_int_equal(tf_ledger_bytes(l), 0);
	tf_ledger_delete(l);
}

static void memory_is_bounded_whatever_comes(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_ledger *l = tf_ledger_new(
		&clock.clock, &(struct tf_ledger_limits){.count = 1000, .bytes = 100000, .age_ms = 1000000});
	char key[32], body[300] = {0};
	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		tf_ledger_put(l, key, body, (size_t)(i % 300));
		assert_true(tf_ledger_bytes(l) <= 100000 && tf_ledger_count(l) <= 1000);
	}
	assert_true(tf_ledger_count(l) > 100);
	assert_non_null(tf_ledger_get(l, "99999", &(size_t){0}));
	tf_ledger_delete(l);
}

/* Test vectors of SipHash-2-4 with 128-bit output: key 00..0f, message 00, 01, 02, ... (the reference
 * implementation's vectors, as the words that it writes in little-endian order). */
static void the_digest_is_siphash(void **state)
{
	(void)state;
	const struct tf_digest_key key = {.k0 = 0x0706050403020100u, .k1 = 0x0f0e0d0c0b0a0908u};
	unsigned char message[64];
	char text[TF_DIGEST_TEXT];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)i;
	/* a3817f04ba25a8e6 6df67214c7550293 */
	assert_string_equal(tf_digest(&key, message, 0, text), "e6a825ba047f81a3930255c71472f66d");
	/* da87c1d86b99af44 347659119b22fc45 */
	assert_string_equal(tf_digest(&key, message, 1, text), "44af996bd8c187da45fc229b11597634");
}

static void digests_of_different_bodies_differ(void **state)
{
	(void)state;
	struct tf_digest_key key = tf_digest_random_key(), other = tf_digest_random_key();
	char a[TF_DIGEST_TEXT], b[TF_DIGEST_TEXT];
	char body[41] = "{\"task_cls\": \"m.T\", \"task_name\": \"t\"}   ";
	tf_digest(&key, body, 40, a);
	assert_string_not_equal(a, tf_digest(&other, body, 40, b));
	assert_string_equal(a, tf_digest(&key, body, 40, b));
	for (size_t len = 0; len < 40; len++)
		assert_string_not_equal(a, tf_digest(&key, body, len, b));
	for (size_t i = 0; i < 40; i++) {
		for (int bit = 0; bit < 8; bit++) {
			body[i] = (char)(body[i] ^ (1 << bit));
			assert_string_not_equal(a, tf_digest(&key, body, 40, b));
			body[i] = (char)(body[i] ^ (1 << bit));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_and_replaces),
		cmocka_unit_test(forgets_by_count_age_and_bytes),
		cmocka_unit_test(memory_is_bounded_whatever_comes),
		cmocka_unit_test(the_digest_is_siphash),
		cmocka_unit_test(digests_of_different_bodies_differ),
	};
	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
