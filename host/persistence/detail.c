#include "persistence/detail.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void tf_book_detail_free(struct tf_book_detail *d)
{
	free(d->uuid);
	free(d->name);
	free(d->created_at);
	free(d->updated_at);
	tf_value_unref(d->meta);
	*d = (struct tf_book_detail){0};
}

void tf_flow_detail_free(struct tf_flow_detail *d)
{
	char *strings[] = {d->uuid, d->book, d->name, d->state, d->created_at, d->updated_at};
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
		free(strings[i]);
	tf_value_unref(d->meta);
	*d = (struct tf_flow_detail){0};
}

void tf_atom_detail_free(struct tf_atom_detail *d)
{
	char *strings[] = {
		d->uuid, d->flow, d->name, d->version, d->state, d->intention, d->created_at, d->updated_at};
	struct tf_value *values[] = {d->results, d->failure, d->revert_results, d->revert_failure, d->meta};
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
		free(strings[i]);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		tf_value_unref(values[i]);
	*d = (struct tf_atom_detail){0};
}

void tf_stamp(char out[TF_STAMP_SIZE])
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	size_t n = strftime(out, TF_STAMP_SIZE, "%Y-%m-%d %H:%M:%S", gmtime_r(&ts.tv_sec, &tm));
	snprintf(out + n, TF_STAMP_SIZE - n, ".%06ld", ts.tv_nsec / 1000);
}
