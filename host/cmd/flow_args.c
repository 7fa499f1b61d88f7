#include "cmd/flow_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum {
	KEY_STORE_FILE = 500,
	FLOW_MAX_STORE = 64 << 20, /* bytes of a store file */
};

static const struct argp_option flow_options[] = {
	{"store", 's', "NAME=VALUE", 0, "Value for the flow's tasks; what is JSON is taken as such", 0},
	{"store-file", KEY_STORE_FILE, "FILE", 0, "Values from a file with a JSON object; --store wins", 0},
	{"verbose", 'v', 0, 0, "Log more", 0},
	{0},
};

/* What begins like JSON, and is none, is a mistake and not a text. */
static void flow_check_json(const char *option, const char *pair, struct argp_state *state)
{
	struct tf_err err;
	const char *text = strchr(pair, '=');
	if (!text || !text[1] || !strchr("{[\"", text[1]))
		return;
	struct tf_value *v = tf_value_parse(text + 1, strlen(text + 1), 0, &err);
	if (!v)
		argp_error(state, "%s %.*s: %s", option, (int)(text - pair), pair, err.message);
	tf_value_unref(v);
}

void tf_args_set_pair(
	struct tf_value **object, const char *option, const char *pair, struct argp_state *state)
{
	const char *text;
	char *name = tf_args_split(pair, &text);
	if (!name) {
		argp_error(state, "%s: expected NAME=VALUE, got \"%s\"", option, pair);
		return;
	}
	tf_args_set_member(object, name, text);
	free(name);
}

static struct tf_value *flow_read_object(const char *path, struct tf_err *err)
{
	struct tf_value *v = NULL;
	struct tf_buf text = TF_BUF_INIT;
	char chunk[1 << 16];
	size_t n;
	FILE *f = fopen(path, "r");
	if (!f) {
		tf_err_sys(err, "cannot open %s", path);
		return NULL;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && text.len <= FLOW_MAX_STORE)
		tf_buf_append(&text, chunk, n);
	if (ferror(f)) {
		tf_err_sys(err, "cannot read %s", path);
	} else if (text.len > FLOW_MAX_STORE) {
		tf_err_set(err, TF_ELIMIT, "%s: more than %d bytes", path, FLOW_MAX_STORE);
	} else {
		v = tf_value_parse(text.len ? text.data : "", text.len, 0, err);
		if (!v)
			tf_err_prefix(err, "%s", path);
	}
	fclose(f);
	tf_buf_free(&text);
	if (v && tf_json_type(tf_value_json(v)) != TF_JSON_OBJECT) {
		tf_err_set(err, TF_EFORMAT, "%s: expected a JSON object", path);
		tf_value_unref(v);
		v = NULL;
	}
	return v;
}

static void flow_set_store_file(struct tf_flow_args *args, const char *path, struct argp_state *state)
{
	struct tf_err err;
	tf_value_unref(args->file_store);
	args->file_store = flow_read_object(path, &err);
	if (!args->file_store)
		argp_error(state, "--store-file: %s", err.message);
}

static error_t flow_parse(int key, char *value, struct argp_state *state)
{
	struct tf_flow_args *args = state->input;
	switch (key) {
	case 's':
		flow_check_json("--store", value, state);
		tf_args_set_pair(&args->store, "--store", value, state);
		return 0;
	case KEY_STORE_FILE:
		flow_set_store_file(args, value, state);
		return 0;
	case 'v':
		args->verbose = true;
		tf_log_set_level(TF_LOG_DEBUG);
		return 0;
	case ARGP_KEY_ARG:
		if (args->reference)
			argp_error(state, "one flow at a time: \"%s\" is too many", value);
		args->reference = value;
		return 0;
	case ARGP_KEY_END:
		if (!args->reference && !args->optional)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child flow_children[] = {{&tf_lua_dir_argp, 0, NULL, 0}, {0}};

const struct argp tf_flow_argp = {.options = flow_options, .parser = flow_parse, .children = flow_children};

void tf_flow_args_put(const struct tf_flow_args *args, struct tf_value **options)
{
	tf_args_set_text(options, "reference", args->reference);
	/* As text: numbers that Lua cannot hold reach the flow as they are. */
	tf_args_set_text(options, "store", args->store ? tf_value_text(args->store) : "{}");
	tf_args_set_text(options, "file_store", args->file_store ? tf_value_text(args->file_store) : "{}");
}

void tf_flow_args_free(struct tf_flow_args *args)
{
	tf_value_unref(args->store);
	tf_value_unref(args->file_store);
}
