#include "wbe/outbox.h"

#include <stdlib.h>

#include "base/mem.h"

struct tf_outbox_item {
	TAILQ_ENTRY(tf_outbox_item) link;
	struct tf_completion completion; /* of an event: atom, round, and the details as result (owned) */
	char *event_type;                /* owned; NULL: no event */
	char *performer;                 /* owned; NULL: not told who performs it */
};

void tf_outbox_create(struct tf_outbox *o)
{
	TAILQ_INIT(&o->items);
	o->count = 0;
}

static struct tf_outbox_item *add(struct tf_outbox *o, const struct tf_completion *c)
{
	struct tf_outbox_item *i = TF_NEW(struct tf_outbox_item);
	i->completion = *c;
	tf_value_ref(i->completion.result);
	TAILQ_INSERT_TAIL(&o->items, i, link);
	o->count++;
	return i;
}

void tf_outbox_done(struct tf_outbox *o, const struct tf_completion *c)
{
	add(o, c);
}

void tf_outbox_event(
	struct tf_outbox *o, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	const struct tf_completion c = {.atom = atom, .round = round, .result = details};
	add(o, &c)->event_type = tf_strdup(type);
}

void tf_outbox_began(struct tf_outbox *o, unsigned atom, int64_t round, const char *performer)
{
	const struct tf_completion c = {.atom = atom, .round = round};
	add(o, &c)->performer = tf_strdup(performer);
}

static void deliver(const struct tf_outbox_item *i, const struct tf_executor *to)
{
	const struct tf_completion *c = &i->completion;
	if (i->performer && to->events.began)
		to->events.began(to->arg, c->atom, c->round, i->performer);
	else if (i->event_type && to->events.event)
		to->events.event(to->arg, c->atom, c->round, i->event_type, c->result);
	else if (!i->performer && !i->event_type)
		to->events.done(to->arg, c);
}

void tf_outbox_deliver(struct tf_outbox *o, size_t max, const struct tf_executor *to)
{
	struct tf_outbox_item *i;
	while (max-- && (i = TAILQ_FIRST(&o->items)) != NULL) {
		TAILQ_REMOVE(&o->items, i, link);
		o->count--;
		deliver(i, to);
		tf_value_unref(i->completion.result);
		free(i->event_type);
		free(i->performer);
		free(i);
	}
}
