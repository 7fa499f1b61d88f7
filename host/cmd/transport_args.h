/* The options of a command line that name a transport, shared by `run` and `worker`. */
#ifndef TF_CMD_TRANSPORT_ARGS_H
#define TF_CMD_TRANSPORT_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "base/value.h"

struct tf_transport_args { /* strings borrowed from argv */
	const char *url, *exchange, *transport;
	struct tf_value *options; /* owned; object or NULL */
};

/* A child parser; its input is a struct tf_transport_args. */
extern const struct argp tf_transport_argp;

/* Add what was given to an object of settings, under the names that a file has for it. */
void tf_transport_args_put(const struct tf_transport_args *args, struct tf_value **settings);

/* Set member `name` of the object *object (NULL: {}) to what `text` says: JSON if it is that, else a string. */
void tf_args_set_member(struct tf_value **object, const char *name, const char *text);
/* The same with a string, whatever it says; NULL sets nothing. */
void tf_args_set_text(struct tf_value **object, const char *name, const char *text);
void tf_args_set_flag(struct tf_value **object, const char *name, bool flag);
/* Split "name=text"; NULL if there is no '=' or no name. The name is the caller's to free. */
char *tf_args_split(const char *pair, const char **text);

#endif
