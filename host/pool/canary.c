#include "pool/canary.h"

#include <math.h>

/* A rate of zero measured over few requests is not believed to be zero. */
#define CANARY_LEAST_RATE 0.01
/* Outcomes of either side before the rates say anything. */
#define CANARY_FEW 5
/* Of adding up shares. */
#define CANARY_ROUNDING 1e-6

void tf_canary_begin(struct tf_canary *c, double share, uint64_t wanted)
{
	*c = (struct tf_canary){.share = share, .wanted = wanted ? wanted : TF_CANARY_WANTED};
	c->due = 1 - share; /* the first one at once */
}

bool tf_canary_turn(const struct tf_canary *c)
{
	return c->due + c->share >= 1 - CANARY_ROUNDING;
}

void tf_canary_gave(struct tf_canary *c, bool trial)
{
	c->due += c->share - trial;
	if (c->due > 1) /* no burst for what could not be given for long */
		c->due = 1;
}

void tf_canary_count(struct tf_canary *c, bool trial, bool failed)
{
	struct tf_canary_count *n = trial ? &c->trial : &c->base;
	n->ended++;
	n->failed += failed;
}

enum tf_canary_verdict tf_canary_judge(const struct tf_canary *c)
{
	double n = (double)c->trial.ended;
	double rate = c->base.ended ? (double)c->base.failed / (double)c->base.ended : 0;
	if (rate < CANARY_LEAST_RATE)
		rate = CANARY_LEAST_RATE;
	double most = n * rate + 2 * sqrt(n * rate * (1 - rate)) + 1;
	bool known = c->trial.ended >= CANARY_FEW && (c->base.ended >= CANARY_FEW || n >= 2 * CANARY_FEW);
	if (known && (double)c->trial.failed > most)
		return TF_CANARY_ROLL_BACK;
	return known && c->trial.ended >= c->wanted ? TF_CANARY_PROMOTE : TF_CANARY_GO_ON;
}
