/* Random histories of one worker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "server_rig.h"

/* Random histories of one worker: whatever happens, each delivery is settled exactly once, each
 * request gets at most one final message a delivery, and RUNNING goes before a success. */
static void random_histories_leave_nothing_behind(void **state)
{
	(void)state;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++) {
		struct server_rig r = {.config = {.pool.slots = 3, .transport.prefetch = 6}};
		size_t deliveries = 0;
		server_open(&r);
		for (int step = 0; step < 100; step++) {
			char id[TF_UUID_LEN + 1];
			struct fake_sent *s;
			snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u",
				(unsigned)rand() % 8u);
			switch (rand() % 6) {
			case 0:
			case 1:
				server_deliver(
					&r, "REQUEST", id, rand() % 2 ? HEADER : NULL, EXECUTE, rand() % 2);
				deliveries++;
				break;
			case 2:
				if (r.pool->count)
					fake_pool_started(r.pool, (size_t)rand() % r.pool->count);
				break;
			case 3:
				if (r.pool->count)
					fake_pool_done(r.pool, (size_t)rand() % r.pool->count, rand() % 2,
						GOOD_FAILURE);
				break;
			case 4:
				if ((s = fake_wire_take(r.wire)) != NULL) {
					if (s->id)
						fake_wire_confirm(r.wire, s->id,
							rand() % 4 ? TF_PUBLISHED : TF_RETURNED);
					fake_sent_free(s);
				}
				break;
			default:
				server_pass(&r, 1000);
				break;
			}
		}
		/* let all end well, also what is acknowledged because its engine was away: the last tries a second after */
		for (int i = 0, more = 3; i < 100 && (r.wire->unsettled || more-- > 0); i++) {
			struct fake_sent *s;
			while (r.pool->count)
				fake_pool_done(r.pool, 0, false, "1");
			while ((s = fake_wire_take(r.wire)) != NULL) {
				if (s->id)
					fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
				fake_sent_free(s);
			}
			server_pass(&r, 1000);
		}
		assert_int_equal(r.wire->unsettled, 0);
		assert_int_equal(r.wire->acked + r.wire->requeued, deliveries);
		struct tf_server_stats st = server_stats(&r);
		assert_int_equal(st.requests, st.succeeded + st.failed + st.dropped);
		assert_int_equal(r.wire->acked, st.requests + st.joined + st.answered_from_ledger);
		server_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_histories_leave_nothing_behind),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_histories", tests, NULL, NULL);
}
