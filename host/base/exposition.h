/* Metrics as text, in the form that Prometheus reads (exposition format 0.0.4). A family is its head and then its samples. */
#ifndef TF_BASE_EXPOSITION_H
#define TF_BASE_EXPOSITION_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

/* "# HELP" and "# TYPE"; type: "counter", "gauge", "histogram". */
void tf_expose_head(struct tf_buf *out, const char *name, const char *type, const char *help);
/* name{label="value",...} number. The labels are pairs of strings, ended by NULL; a value may be any text. */
void tf_expose_sample(struct tf_buf *out, const char *name, double number, ...) __attribute__((sentinel));
/* Families of one sample without labels. */
void tf_expose_counter(struct tf_buf *out, const char *name, const char *help, uint64_t n);
void tf_expose_gauge(struct tf_buf *out, const char *name, const char *help, double n);
void tf_expose_histogram(
	struct tf_buf *out, const char *name, const char *help, const struct tf_histogram *h);
/* A counter with one label; a row for each of its values. */
struct tf_labelled {
	const char *value;
	uint64_t n;
};
void tf_expose_labelled(struct tf_buf *out, const char *name, const char *help, const char *label,
	const struct tf_labelled *rows, size_t count);
#define TF_EXPOSE_LABELLED(out, name, help, label, rows) \
	tf_expose_labelled(out, name, help, label, rows, sizeof(rows) / sizeof((rows)[0]))
/* What the process is and uses: build, start, processor time, memory, descriptors. */
void tf_expose_process(struct tf_buf *out);

#endif
