/* The amqp transport under load: many messages settled in any order, a loop that is busy, flat memory. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"

static void send_number(struct peer *p, const char *topic, int i)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", i);
	peer_send(p, topic, text, 0, 0);
}

/* Messages settled in random order, in batches of random size, some left: exactly these come back. */
static void test_settled_in_any_order(void **state)
{
	enum { N = 3000 };
	struct peer a, b, keeper;
	unsigned seed = (unsigned)time(NULL);
	bool *left = tf_calloc(N, sizeof(*left));
	size_t *order = tf_calloc(N, sizeof(*order)), i, k, remaining = 0;

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	amqp_open_peer(&keeper, amqp_url(), NULL); /* the queue must outlive b */
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_consume(&keeper, "work", 1);
	peer_until(&keeper, keeper.ups, 1);
	send_number(&a, "work", 0);
	peer_until(&keeper, keeper.count, 1);
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	for (i = 0; i < N; i++)
		send_number(&a, "work", (int)i);
	peer_until(&b, b.count, N);
	for (i = 0; i < N; i++)
		order[i] = i;
	for (i = 0; i < N; i++) { /* mostly near their place, as in life */
		k = i + (size_t)random() % (random() % 10 ? 20 : N);
		if (k < N) {
			size_t x = order[i];

			order[i] = order[k];
			order[k] = x;
		}
	}
	for (i = 0; i < N; i++) {
		const int dice = (int)(random() % 100);

		if (dice < 2) {
			left[order[i]] = true;
			remaining++;
			continue;
		}
		tf_transport_settle(b.t, b.messages[order[i]].tag, dice < 12 ? TF_REJECT : TF_ACK);
		if (random() % 50 == 0)
			peer_idle(&b, 1);
	}
	peer_close(&b);
	keeper.settle = TF_ACK;
	tf_transport_settle(keeper.t, keeper.messages[0].tag, TF_ACK);
	peer_until(&keeper, keeper.count, 1 + remaining);
	peer_idle(&keeper, 200);
	assert_int_equal(keeper.count, 1 + remaining);
	for (i = 1; i < keeper.count; i++) {
		assert_true(left[atoi(keeper.messages[i].body)]);
		left[atoi(keeper.messages[i].body)] = false;
	}
	peer_close(&a);
	peer_close(&keeper);
	free(left);
	free(order);
}

/* More messages than we are willing to hold arrive while the loop is busy for several heartbeats. */
static void test_busy_loop(void **state)
{
	enum { N = 60000 };
	struct peer b;
	char *queue = amqp_queue("work"), text[16];
	amqp_connection_state_t c = raw_open(amqp_url());
	amqp_basic_properties_t none = {0};
	int i;

	(void)state;
	amqp_open_peer(&b, amqp_url(), "{\"heartbeat\": 1}");
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d", i);
		raw_publish(c, queue, &none, text, strlen(text));
	}
	sleep(6);
	amqp_until(&b, 60, b.count == N);
	for (i = 0; i < N; i++)
		assert_int_equal(atoi(b.messages[i].body), i);
	assert_int_equal(b.downs, 0);
	raw_close(c);
	peer_close(&b);
	free(queue);
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void rounds(struct peer *a, int n)
{
	int i, k;

	for (k = 0; k < n; k++) {
		for (i = 0; i < 1000; i++)
			peer_send(a, i % 10 ? "work" : "nowhere", "some text", 0, 1);
		amqp_until(a, 30, a->outcome_count == 1000 && a->count == 900);
		peer_forget(a);
	}
}

/* AddressSanitizer and Valgrind keep freed memory back on purpose. */
static bool memory_is_watched(void)
{
	const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__)
	return true;
#endif
	return preload && strstr(preload, "vgpreload");
}

static void test_memory_stays_flat(void **state)
{
	struct peer a;
	long before, after;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "work", 0);
	rounds(&a, 10);
	before = resident_kib();
	rounds(&a, 30);
	after = resident_kib();
	printf("resident %ld KiB, then %ld KiB\n", before, after);
	/* 30,000 messages of some 300 bytes would be 9 MiB. */
	assert_true(after - before < 3000 || memory_is_watched());
	peer_close(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_settled_in_any_order),
		T(test_busy_loop),
		T(test_memory_stays_flat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
