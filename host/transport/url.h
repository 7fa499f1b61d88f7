/* Broker URLs as kombu reads them (amqp_parse_url refuses the seed's "...//").
 *
 *   amqp://user:pass@host:port/vhost     percent-encoded parts; no path, "/" or "//": vhost "/"
 *   amqps:// (TLS), pyamqp:// and librabbitmq:// (synonyms of amqp), memory://, filesystem://
 *   Several URLs separated by ';' are a fail-over list.
 */
#ifndef TF_TRANSPORT_URL_H
#define TF_TRANSPORT_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define TF_URL_DEFAULT "amqp://guest:guest@localhost:5672//" /* PROTOCOL.md 2.1 */

struct tf_url {
	char *scheme;   /* canonical: "amqp", "amqps", "memory", "filesystem" */
	char *host;     /* default "localhost" */
	int port;       /* default 5672, amqps 5671; 0 for the other schemes */
	char *user;     /* default "guest" */
	char *password; /* default "guest" */
	char *vhost;    /* default "/" */
	char *path;     /* filesystem: what follows "filesystem://", may be "" */
	char *query;    /* what follows '?', without it, or NULL */
};

struct tf_url_list {
	struct tf_url *urls;
	size_t count; /* at least 1 */
};

/* Parse a whole list. `transport` (may be NULL) is the `transport` option: it gives the scheme
 * when the URL is NULL or has none. Errors name the part that is wrong, never the password. */
int tf_url_parse_list(const char *text, const char *transport, struct tf_url_list *out, struct tf_err *err);
void tf_url_list_free(struct tf_url_list *list);

/* "amqp://user:**@host:5672/vhost": for logs. Caller frees. */
char *tf_url_redact(const struct tf_url *url);

#endif
