/* kombu's exchange tables (kombu >= 5.3, PROTOCOL.md 12.5): one file per exchange,
 * <control_folder>/<exchange>.exchange, a JSON array of [routing key, pattern, queue], newest first.
 * A sender of that kombu looks up there which queues a message goes to.
 *
 * A Python TaskFlow peer adds the row of whom it sends to by itself, so we need none. Adding ours is
 * for senders that do not; kombu's own way of doing that loses rows when two processes create the
 * file at once, ours does not. */
#ifndef TF_TRANSPORT_KOMBU_TABLE_H
#define TF_TRANSPORT_KOMBU_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Check a whole table; empty text (created, not written yet) is an empty one. TF_EFORMAT names the
 * row that is none; TF_ELIMIT: nested too deep. `row` (may be NULL) is called for each, newest first. */
int tf_kombu_table_read(const char *text, size_t len,
	void (*row)(void *arg, const char *routing_key, const char *pattern, const char *queue), void *arg,
	struct tf_err *err);

/* Append to `out` the table with the row [routing_key, "", queue] in front. Returns false, and appends
 * nothing, if that row is in it already. `text` was accepted by tf_kombu_table_read. */
bool tf_kombu_table_add(
	const char *text, size_t len, const char *routing_key, const char *queue, struct tf_buf *out);

/* Have that row in the exchange's table in `folder`, made if need be, under the lock that kombu takes. */
int tf_kombu_table_register(const char *folder, const char *exchange, const char *routing_key,
	const char *queue, struct tf_err *err);

#endif
