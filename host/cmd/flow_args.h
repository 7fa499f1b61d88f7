/* The options of a command line that name a flow and what it is given, shared by `run`, `dev`, `graph` and `lint`. */
#ifndef TF_CMD_FLOW_ARGS_H
#define TF_CMD_FLOW_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "base/value.h"

struct tf_flow_args {                        /* zeroed by the caller */
	const char *reference;               /* borrowed from argv */
	struct tf_value *store, *file_store; /* objects or NULL, owned */
	bool verbose;
	bool optional; /* set by the caller: FLOW may be left out */
};

/* A child parser; its input is a struct tf_flow_args. FLOW, --store, --store-file, --verbose, --lua-dir. */
extern const struct argp tf_flow_argp;

/* Members reference, store and file_store, for lua/tfhost/run.lua and its like. */
void tf_flow_args_put(const struct tf_flow_args *args, struct tf_value **options);
void tf_flow_args_free(struct tf_flow_args *args);

/* Set a member of *object by "NAME=VALUE", as the option of that name was given; ends the program if it is none. */
void tf_args_set_pair(
	struct tf_value **object, const char *option, const char *pair, struct argp_state *state);

#endif
