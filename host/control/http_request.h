/* The head of an HTTP/1 request, as far as a server of a few fixed pages needs it. Pure; reads foreign bytes. */
#ifndef TF_CONTROL_HTTP_REQUEST_H
#define TF_CONTROL_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum { TF_HTTP_HEAD_MAX = 8192 };

struct tf_http_request {
	bool head;        /* HEAD: the answer has no body */
	const char *path; /* borrowed from the text, without what follows '?' */
	size_t path_len;
};

/* The status to answer with: 200 for a GET or HEAD whose head is whole, 400, 405 (another method), 431 (it is longer than
 * TF_HTTP_HEAD_MAX), 505; 0: more has to come. */
int tf_http_request(const char *text, size_t len, struct tf_http_request *out);
/* The words that go with a status. */
const char *tf_http_reason(int status);

#endif
