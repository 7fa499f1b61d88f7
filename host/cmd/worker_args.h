/* The command line of `tfhost worker`, which `tfhost conf` reads, too. */
#ifndef TF_CMD_WORKER_ARGS_H
#define TF_CMD_WORKER_ARGS_H

#include <argp.h>

#include "base/value.h"
#include "cmd/transport_args.h"

struct tf_worker_args {
	struct tf_transport_args transport;
	struct tf_value *
		flags; /* owned: settings that were given, as lua/tfhost/settings.lua takes them; NULL: none */
	char *concurrency; /* owned: what --concurrency gives, separated by commas; NULL */
	const char *file;  /* --config; NULL */
};

/* Input: a struct tf_worker_args, zeroed. */
extern const struct argp tf_worker_argp;

/* What was given: { flags, file }. A new reference. */
struct tf_value *tf_worker_args_value(struct tf_worker_args *args);
void tf_worker_args_free(struct tf_worker_args *args);

#endif
