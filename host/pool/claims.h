/* Who has a request that waits in a slot's socket: a page that supervisor and slot share.
 *
 * The n-th RUN frame of a slot's life goes with word n % TF_CLAIMS. The supervisor offers, the slot takes when it gets
 * there, and the supervisor may take back what the slot has not reached: both compare and swap, the first wins. A slot
 * runs foreign code and could write anything here; it can but harm the requests it was given.
 */
#ifndef TF_POOL_CLAIMS_H
#define TF_POOL_CLAIMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TF_CLAIMS 32u /* requests sent to a slot and not known to be over, at most */

enum tf_claim {
	TF_CLAIM_OFFERED = 1,
	TF_CLAIM_TAKEN,   /* by the slot: it builds the task */
	TF_CLAIM_STARTED, /* the task was built and runs */
	TF_CLAIM_BACK,    /* taken back: the slot passes over it */
};

struct tf_claims {
	_Atomic uint32_t word[TF_CLAIMS];
	_Atomic uint64_t begun_us[TF_CLAIMS]; /* of tf_clock_us, when STARTED */
	_Atomic uint64_t cpu_us[TF_CLAIMS];   /* that the slot had used by then */
	_Atomic uint64_t refused;             /* bytes that it could not have, and dies of; 0: none */
};

/* A new page, mapped; *fd is for the slot, close it. NULL: err. */
struct tf_claims *tf_claims_new(int *fd, struct tf_err *err);
/* The page of a descriptor that was passed. NULL: err. */
struct tf_claims *tf_claims_map(int fd, struct tf_err *err);
void tf_claims_delete(struct tf_claims *c); /* NULL allowed */

void tf_claims_offer(struct tf_claims *c, uint64_t n);
/* The slot's try, and the supervisor's. */
bool tf_claims_take(struct tf_claims *c, uint64_t n);
bool tf_claims_take_back(struct tf_claims *c, uint64_t n);
void tf_claims_start(struct tf_claims *c, uint64_t n);
enum tf_claim tf_claims_get(const struct tf_claims *c, uint64_t n);
/* When the slot says that it began the n-th, in microseconds of tf_clock_us; `now` if it says what cannot be. */
uint64_t tf_claims_begun_us(const struct tf_claims *c, uint64_t n, uint64_t now);
/* The processor time of the slot, in microseconds, when it began the n-th. */
uint64_t tf_claims_cpu_us(const struct tf_claims *c, uint64_t n);
/* The slot was refused so many bytes of memory, and is about to die of it. */
void tf_claims_refuse(struct tf_claims *c, uint64_t bytes);
uint64_t tf_claims_refused(const struct tf_claims *c);

#endif
