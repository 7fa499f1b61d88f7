/* Delivery tags: handles of received messages that are not settled yet.
 *
 * A tag names its message once. Settling it twice, or after the connection it belongs to was
 * lost, finds nothing: tags are never handed out again. Adding and taking is done
 * in constant time. */
#ifndef TF_TRANSPORT_TAGS_H
#define TF_TRANSPORT_TAGS_H

#include <stddef.h>
#include <stdint.h>

struct tf_tags {
	struct tf_tag_slot *slots; /* owned */
	size_t count, cap, free;   /* used slots, slots, head of the free list + 1 */
	uint64_t issued;
};

#define TF_TAGS_INIT ((struct tf_tags){0})

/* New tag for `message` (not NULL, borrowed), greater than 0. */
uint64_t tf_tags_add(struct tf_tags *t, void *message);
/* Take the message of `tag` out; NULL if the tag is not (or no longer) known. */
void *tf_tags_take(struct tf_tags *t, uint64_t tag);
/* Take all out, in order of delivery; `each` must not use the table. */
void tf_tags_drain(struct tf_tags *t, void (*each)(void *arg, void *message), void *arg);
/* Frees the table, which must be empty of messages that somebody owns. */
void tf_tags_destroy(struct tf_tags *t);

#endif
