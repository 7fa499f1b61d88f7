/* The command line of `tfhost run`, which `tfhost conf` reads, too. */
#ifndef TF_CMD_RUN_ARGS_H
#define TF_CMD_RUN_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "base/value.h"
#include "cmd/flow_args.h"
#include "cmd/transport_args.h"

struct tf_run_args {
	struct tf_flow_args flow;
	struct tf_transport_args transport;
	struct tf_value *
		flags; /* owned: settings that were given, as lua/tfhost/settings.lua takes them; NULL: none */
	const char *file; /* --config; NULL */
	bool json, plain, watch;
};

/* Input: a struct tf_run_args, zeroed. */
extern const struct argp tf_run_argp;

/* What was given: { flags, file, reference, store, file_store, json, plain }. A new reference. */
struct tf_value *tf_run_args_value(struct tf_run_args *args);
void tf_run_args_free(struct tf_run_args *args);

#endif
