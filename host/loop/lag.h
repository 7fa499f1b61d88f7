/* How late a loop is: what is due waits so long because something else has the thread. Looked at four times a second. */
#ifndef TF_LOOP_LAG_H
#define TF_LOOP_LAG_H

#include "base/histogram.h"
#include "loop/loop.h"

struct tf_lag;

struct tf_lag *tf_lag_new(struct tf_loop *loop);
/* Of the looks since it was made; borrowed. */
const struct tf_histogram *tf_lag_histogram(const struct tf_lag *l);
void tf_lag_delete(struct tf_lag *l); /* NULL allowed */

#endif
