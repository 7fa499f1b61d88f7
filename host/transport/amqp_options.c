#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "transport/amqp.h"
#include "transport/options.h"

enum {
	HEARTBEAT_DEFAULT = 10,
	FRAME_MIN = 4096,
	FRAME_MAX = 131072,
	EXPIRES_DEFAULT = 24 * 3600,
	EXPIRES_MAX = 14 * 24 * 3600,
	PRIORITY_MAX = 255, /* what RabbitMQ takes */
};

/* Debian's bundle of authorities, when the options name none. */
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static const char *const OPTION_NAMES[] = {"connect_timeout", "heartbeat", "frame_max", "login_method", "ssl",
	"ca_certs", "topology", "queue_type", "expires", "max_priority"};
static const char *const SSL_NAMES[] = {"ca_certs", "certfile", "keyfile", "cert_reqs", "check_hostname"};

static int wrong(struct tf_err *err, const char *name, const char *must)
{
	return tf_err_set(err, TF_EINVAL, "transport_options: %s must be %s", name, must);
}

static int read_int(struct tf_json v, const char *name, int min, int max, int *out, struct tf_err *err)
{
	double d;

	if (!tf_json_double(v, &d) || d != floor(d) || d < min || d > max)
		return tf_err_set(err, TF_EINVAL,
			"transport_options: %s must be a whole number from %d to %d", name, min, max);
	*out = (int)d;
	return 0;
}

static int read_bool(struct tf_json v, const char *name, bool *out, struct tf_err *err)
{
	enum tf_json_type t = tf_json_type(v);

	if (t != TF_JSON_TRUE && t != TF_JSON_FALSE)
		return wrong(err, name, "true or false");
	*out = t == TF_JSON_TRUE;
	return 0;
}

static int read_file(struct tf_json v, const char *name, char **out, struct tf_err *err)
{
	char *path;

	if (tf_json_type(v) == TF_JSON_NULL)
		return 0;
	if (tf_json_type(v) != TF_JSON_STRING)
		return wrong(err, name, "the name of a PEM file");
	path = tf_json_strdup(v, err);
	if (!path)
		return tf_err_prefix(err, "transport_options: %s", name);
	free(*out);
	*out = path;
	if (access(path, R_OK) < 0)
		return tf_err_sys(err, "transport_options: %s: cannot read \"%s\"", name, path);
	return 0;
}

/* Python's ssl constants, by value or name; kombu also spells them in lower case. */
static int read_cert_reqs(struct tf_json v, bool *verify, struct tf_err *err)
{
	static const struct {
		const char *text;
		bool verify;
	} NAMES[] = {{"CERT_NONE", false}, {"none", false}, {"CERT_OPTIONAL", true}, {"optional", true},
		{"CERT_REQUIRED", true}, {"required", true}};
	size_t i;
	int64_t n;

	if (tf_json_int64(v, &n) && n >= 0 && n <= 2) {
		*verify = n != 0;
		return 0;
	}
	if (tf_json_type(v) == TF_JSON_STRING)
		for (i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++)
			if (tf_json_string_is(v, NAMES[i].text)) {
				*verify = NAMES[i].verify;
				return 0;
			}
	return wrong(err, "ssl.cert_reqs", "CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE");
}

static int read_ssl(struct tf_amqp_options *o, struct tf_json v, struct tf_err *err)
{
	struct tf_json_iter it;
	struct tf_json key, val;
	int rc = 0;

	if (tf_json_type(v) == TF_JSON_NULL)
		return 0;
	if (tf_json_type(v) != TF_JSON_OBJECT)
		return read_bool(v, "ssl", &o->tls, err) < 0 ? wrong(err, "ssl", "true, false or an object")
							     : 0;
	o->tls = true;
	it = tf_json_iter(v);
	while (rc == 0 && tf_json_next(&it, &key, &val)) {
		if (tf_json_string_is(key, "ca_certs"))
			rc = read_file(val, "ssl.ca_certs", &o->ca_certs, err);
		else if (tf_json_string_is(key, "certfile"))
			rc = read_file(val, "ssl.certfile", &o->certfile, err);
		else if (tf_json_string_is(key, "keyfile"))
			rc = read_file(val, "ssl.keyfile", &o->keyfile, err);
		else if (tf_json_string_is(key, "cert_reqs"))
			rc = read_cert_reqs(val, &o->verify, err);
		else if (tf_json_string_is(key, "check_hostname"))
			rc = read_bool(val, "ssl.check_hostname", &o->check_hostname, err);
		else
			rc = tf_options_unknown(
				err, "amqp", "ssl.", key, SSL_NAMES, sizeof(SSL_NAMES) / sizeof(*SSL_NAMES));
	}
	return rc;
}

/* One of two words; which, in *is_second. */
static int read_word(struct tf_json v, const char *name, const char *first, const char *second,
	bool *is_second, struct tf_err *err)
{
	if (tf_json_type(v) != TF_JSON_STRING ||
		!(tf_json_string_is(v, first) || tf_json_string_is(v, second)))
		return tf_err_set(err, TF_EINVAL, "transport_options: %s must be \"%s\" or \"%s\"", name,
			first, second);
	*is_second = tf_json_string_is(v, second);
	return 0;
}

static int read_connect_timeout(struct tf_json v, double *out, struct tf_err *err)
{
	if (!tf_json_double(v, out) || !(*out > 0 && *out <= 3600))
		return wrong(err, "connect_timeout", "a number of seconds, more than 0, at most 3600");
	return 0;
}

static int read_option(struct tf_amqp_options *o, struct tf_json key, struct tf_json v, struct tf_err *err)
{
	if (tf_json_string_is(key, "heartbeat"))
		return read_int(v, "heartbeat", 0, 3600, &o->heartbeat, err);
	if (tf_json_string_is(key, "frame_max"))
		return read_int(v, "frame_max", FRAME_MIN, FRAME_MAX, &o->frame_max, err);
	if (tf_json_string_is(key, "connect_timeout"))
		return read_connect_timeout(v, &o->connect_timeout, err);
	if (tf_json_string_is(key, "login_method"))
		return read_word(v, "login_method", "PLAIN", "EXTERNAL", &o->external, err);
	if (tf_json_string_is(key, "ssl"))
		return read_ssl(o, v, err);
	if (tf_json_string_is(key, "ca_certs"))
		return read_file(v, "ca_certs", &o->ca_certs, err);
	if (tf_json_string_is(key, "topology"))
		return read_word(v, "topology", "compat", "durable", &o->durable, err);
	if (tf_json_string_is(key, "queue_type"))
		return read_word(v, "queue_type", "classic", "quorum", &o->quorum, err);
	if (tf_json_string_is(key, "expires"))
		return read_int(v, "expires", 1, EXPIRES_MAX, &o->expires_ms, err);
	if (tf_json_string_is(key, "max_priority"))
		return read_int(v, "max_priority", 1, PRIORITY_MAX, &o->max_priority, err);
	return tf_options_unknown(
		err, "amqp", "", key, OPTION_NAMES, sizeof(OPTION_NAMES) / sizeof(*OPTION_NAMES));
}

int tf_amqp_options_parse(struct tf_amqp_options *o, const struct tf_value *options, struct tf_err *err)
{
	struct tf_json_iter it;
	struct tf_json key, val;
	int rc = 0;

	*o = (struct tf_amqp_options){
		.connect_timeout = 5,
		.heartbeat = HEARTBEAT_DEFAULT,
		.frame_max = FRAME_MAX,
		.verify = true,
		.check_hostname = true,
	};
	if (options && tf_json_type(tf_value_json(options)) != TF_JSON_OBJECT)
		return tf_err_set(err, TF_EINVAL, "transport_options must be an object");
	if (options) {
		it = tf_json_iter(tf_value_json(options));
		while (rc == 0 && tf_json_next(&it, &key, &val))
			rc = read_option(o, key, val, err);
	}
	if (rc == 0 && !o->durable && (o->quorum || o->expires_ms || o->max_priority))
		rc = tf_err_set(err, TF_EINVAL, "transport_options: %s is for topology \"durable\"",
			o->quorum       ? "queue_type \"quorum\""
			: o->expires_ms ? "expires"
					: "max_priority");
	if (rc == 0 && o->quorum && o->max_priority)
		rc = tf_err_set(err, TF_EINVAL, "transport_options: max_priority is for classic queues");
	o->expires_ms = 1000 * (o->expires_ms ? o->expires_ms : EXPIRES_DEFAULT);
	if (rc == 0 && o->keyfile && !o->certfile)
		rc = tf_err_set(err, TF_EINVAL, "transport_options: ssl.keyfile without ssl.certfile");
	if (rc == 0 && o->certfile && !o->keyfile)
		o->keyfile = tf_strdup(o->certfile); /* one PEM file may hold both, as in Python */
	if (rc == 0 && !o->ca_certs && access(SYSTEM_CA, R_OK) == 0)
		o->ca_certs = tf_strdup(SYSTEM_CA);
	if (rc < 0)
		tf_amqp_options_free(o);
	return rc;
}

void tf_amqp_options_free(struct tf_amqp_options *o)
{
	free(o->ca_certs);
	free(o->certfile);
	free(o->keyfile);
	o->ca_certs = o->certfile = o->keyfile = NULL;
}
