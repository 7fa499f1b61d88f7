/* The outcomes that a worker gave lately, so that a request that comes again is answered, not run
 * again (ARCHITECTURE 4). Pure; bounded by count, by bytes and by age, the oldest going first. */
#ifndef TF_WBE_LEDGER_H
#define TF_WBE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct tf_ledger_limits {
	size_t count;
	size_t bytes; /* of keys and bodies; an outcome beyond it is not kept */
	uint64_t age_ms;
};

struct tf_ledger;

struct tf_ledger *tf_ledger_new(const struct tf_clock *clock, const struct tf_ledger_limits *limits);
void tf_ledger_delete(struct tf_ledger *l);
/* Remember the body of the final message for `key`, replacing an earlier one. Copies. */
void tf_ledger_put(struct tf_ledger *l, const char *key, const char *body, size_t len);
/* The body for `key`, NULL if not (or no longer) known. Borrowed until the next put. */
const char *tf_ledger_get(struct tf_ledger *l, const char *key, size_t *len);
void tf_ledger_clear(struct tf_ledger *l);
size_t tf_ledger_count(const struct tf_ledger *l);
size_t tf_ledger_bytes(const struct tf_ledger *l);

#endif
