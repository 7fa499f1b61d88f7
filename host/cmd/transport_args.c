#include "cmd/transport_args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { KEY_URL = 400, KEY_EXCHANGE, KEY_TRANSPORT, KEY_OPTION };

static const struct argp_option transport_options[] = {
	{"url", KEY_URL, "URL", 0,
		"Broker, as amqp://user:password@host:port/vhost; several separated by ';'", 1},
	{"exchange", KEY_EXCHANGE, "NAME", 0, "Exchange of engines and workers (\"default\")", 1},
	{"transport", KEY_TRANSPORT, "NAME", 0, "Transport, when the URL does not tell: amqp, filesystem", 1},
	{"transport-option", KEY_OPTION, "NAME=VALUE", 0,
		"Option of the transport, as data_folder_in=/srv/spool; a value that is JSON is taken as "
		"such",
		1},
	{0},
};

char *tf_args_split(const char *pair, const char **text)
{
	const char *equals = strchr(pair, '=');
	*text = "";
	if (!equals || equals == pair)
		return NULL;
	*text = equals + 1;
	return tf_strndup(pair, (size_t)(equals - pair));
}

/* Append the members of `object` that are not called `name`. */
static void args_copy_others(struct tf_buf *out, const struct tf_value *object, const char *name)
{
	struct tf_json_iter it = tf_json_iter(tf_value_json(object));
	struct tf_json key, value;
	while (tf_json_next(&it, &key, &value)) {
		if (tf_json_string_is(key, name))
			continue;
		tf_buf_append(out, key.text, key.len);
		tf_buf_puts(out, ": ");
		tf_buf_append(out, value.text, value.len);
		tf_buf_puts(out, ", ");
	}
}

void tf_args_set_member(struct tf_value **object, const char *name, const char *text)
{
	struct tf_buf out = TF_BUF_INIT;
	tf_buf_putc(&out, '{');
	if (*object)
		args_copy_others(&out, *object, name);
	tf_json_write_string(&out, name, tf_utf8_valid_len(name, strlen(name)));
	tf_buf_puts(&out, ": ");
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, NULL);
	if (v)
		tf_buf_append(&out, tf_value_text(v), tf_value_len(v));
	else
		tf_json_write_string(&out, text, tf_utf8_valid_len(text, strlen(text)));
	tf_value_unref(v);
	tf_buf_putc(&out, '}');
	tf_value_unref(*object);
	*object = tf_value_take(&out);
}

void tf_args_set_text(struct tf_value **object, const char *name, const char *text)
{
	struct tf_buf json = TF_BUF_INIT;
	if (!text)
		return;
	tf_json_write_string(&json, text, tf_utf8_valid_len(text, strlen(text)));
	tf_args_set_member(object, name, json.data);
	tf_buf_free(&json);
}

void tf_args_set_flag(struct tf_value **object, const char *name, bool flag)
{
	tf_args_set_member(object, name, flag ? "true" : "false");
}

static error_t transport_parse(int key, char *value, struct argp_state *state)
{
	struct tf_transport_args *args = state->input;
	const char *text;
	char *name;
	switch (key) {
	case KEY_URL:
		args->url = value;
		return 0;
	case KEY_EXCHANGE:
		args->exchange = value;
		return 0;
	case KEY_TRANSPORT:
		args->transport = value;
		return 0;
	case KEY_OPTION:
		name = tf_args_split(value, &text);
		if (!name) {
			argp_error(state, "--transport-option: expected NAME=VALUE, got \"%s\"", value);
			return EINVAL;
		}
		tf_args_set_member(&args->options, name, text);
		free(name);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp tf_transport_argp = {.options = transport_options, .parser = transport_parse};

void tf_transport_args_put(const struct tf_transport_args *args, struct tf_value **settings)
{
	tf_args_set_text(settings, "url", args->url);
	tf_args_set_text(settings, "exchange", args->exchange);
	tf_args_set_text(settings, "transport", args->transport);
	if (args->options)
		tf_args_set_member(settings, "transport_options", tf_value_text(args->options));
}
