/* One line per event on stderr: `2026-01-31T03:08:18.220Z INFO worker: text key=value`.
 *
 * Callable from any thread. Never blocks for long: when nobody reads stderr, lines are lost, and that is
 * said once there is room again. Never pass a password or a whole URL: use tf_url_redact. */
#ifndef TF_BASE_LOG_H
#define TF_BASE_LOG_H

enum tf_log_level { TF_LOG_DEBUG, TF_LOG_INFO, TF_LOG_WARN, TF_LOG_ERROR, TF_LOG_OFF };

/* Least level printed; default TF_LOG_INFO. */
void tf_log_set_level(enum tf_log_level level);
enum tf_log_level tf_log_get_level(void);

/* TEXT, for people, is as above. LOGFMT: `time=... level=info area=worker msg="text" atom=a request=...`. JSON: an object with
 * the same members, as strings. */
#define TF_LOG_FORMATS(X) X(TEXT, "text") X(LOGFMT, "logfmt") X(JSON, "json")
enum tf_log_format {
#define X(name, text) TF_LOG_##name,
	TF_LOG_FORMATS(X)
#undef X
};
void tf_log_set_format(enum tf_log_format format);
enum tf_log_format tf_log_get_format(void);
/* By TFHOST_LOG_FORMAT and TFHOST_LOG_LEVEL ("debug", "info", "warn", "error"), which processes that are started inherit; what
 * is not set, or no such name, changes nothing. */
void tf_log_from_environment(void);
/* The same by name, for this process and those that it starts; NULL: as it is. */
void tf_log_configure(const char *as, const char *level);

/* What a line is about; NULL: not known. Each is cut after TF_LOG_ID_MAX bytes. */
enum { TF_LOG_ID_MAX = 128 };
struct tf_log_ids {
	const char
		*flow; /* uuid; of a flow that another engine runs, the topic of its replies, which is that */
	const char *atom;    /* name */
	const char *request; /* correlation id, which is the uuid of the atom's detail */
	const char *worker;  /* uuid */
};
/* Of every line of this process from now on, where a line has none of its own. Copied; a member that is NULL stays as it is,
 * "" is none. */
void tf_log_set_ids(const struct tf_log_ids *ids);

/* `area` is the noun speaking: "worker", "amqp", "filesystem", ... */
#define tf_debug(area, ...) tf_log(TF_LOG_DEBUG, area, NULL, __VA_ARGS__)
#define tf_info(area, ...) tf_log(TF_LOG_INFO, area, NULL, __VA_ARGS__)
#define tf_warn(area, ...) tf_log(TF_LOG_WARN, area, NULL, __VA_ARGS__)
#define tf_error(area, ...) tf_log(TF_LOG_ERROR, area, NULL, __VA_ARGS__)
/* The same about something: a const struct tf_log_ids *, NULL allowed. */
#define tf_debug_of(ids, area, ...) tf_log(TF_LOG_DEBUG, area, ids, __VA_ARGS__)
#define tf_info_of(ids, area, ...) tf_log(TF_LOG_INFO, area, ids, __VA_ARGS__)
#define tf_warn_of(ids, area, ...) tf_log(TF_LOG_WARN, area, ids, __VA_ARGS__)
#define tf_error_of(ids, area, ...) tf_log(TF_LOG_ERROR, area, ids, __VA_ARGS__)
void tf_log(enum tf_log_level level, const char *area, const struct tf_log_ids *ids, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
