#include "cmd/observe_args.h"

#include "cmd/transport_args.h"

enum { KEY_LOG_FORMAT = 450, KEY_LOG_LEVEL, KEY_METRICS };

static const struct argp_option observe_options[] = {
	{"log-format", KEY_LOG_FORMAT, "NAME", 0, "Log lines as text (default), logfmt or json", 2},
	{"log-level", KEY_LOG_LEVEL, "NAME", 0, "Least level logged: debug, info (default), warn, error", 2},
	{"metrics", KEY_METRICS, "[HOST:]PORT", 0,
		"Metrics for Prometheus at http://HOST:PORT/metrics (HOST: 127.0.0.1; port 0: a free one, "
		"which the log "
		"names; default: none)",
		2},
	{0},
};

static error_t observe_parse(int key, char *value, struct argp_state *state)
{
	struct tf_value **settings = state->input;
	switch (key) {
	case KEY_LOG_FORMAT:
		tf_args_set_text(settings, "log_format", value);
		return 0;
	case KEY_LOG_LEVEL:
		tf_args_set_text(settings, "log_level", value);
		return 0;
	case KEY_METRICS:
		tf_args_set_text(settings, "metrics", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp tf_observe_argp = {.options = observe_options, .parser = observe_parse};
