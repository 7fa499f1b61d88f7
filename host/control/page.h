/* The page of metrics: GET /metrics over HTTP/1, for Prometheus. It tells, and changes nothing; who reaches the port may read it.
 *
 * Bounded, whatever comes: TF_PAGE_CLIENTS connections at a time (more are closed), a request head of TF_HTTP_HEAD_MAX bytes,
 * one request a connection, and TF_PAGE_MS from its begin to the last byte of the answer. */
#ifndef TF_CONTROL_PAGE_H
#define TF_CONTROL_PAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct tf_page;

enum { TF_PAGE_CLIENTS = 16, TF_PAGE_MS = 10000 };

struct tf_page_config {
	const char *address; /* "[HOST:]PORT"; HOST: 127.0.0.1, "[::1]" */
	/* Append the metrics. Called on the loop, for each request. */
	void (*write)(void *arg, struct tf_buf *out);
	void *arg;
	uint64_t patience_ms; /* 0: TF_PAGE_MS */
};

/* TF_EINVAL: that is no address; TF_EIO: one cannot listen there. */
int tf_page_new(
	struct tf_loop *loop, const struct tf_page_config *config, struct tf_page **out, struct tf_err *err);
/* "http://127.0.0.1:9464/metrics", with the port that port 0 came to. */
const char *tf_page_url(const struct tf_page *p);
void tf_page_delete(struct tf_page *p); /* NULL allowed */

#endif
