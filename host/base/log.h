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

/* `area` is the noun speaking: "worker", "amqp", "filesystem", ... */
#define tf_debug(area, ...) tf_log(TF_LOG_DEBUG, area, __VA_ARGS__)
#define tf_info(area, ...) tf_log(TF_LOG_INFO, area, __VA_ARGS__)
#define tf_warn(area, ...) tf_log(TF_LOG_WARN, area, __VA_ARGS__)
#define tf_error(area, ...) tf_log(TF_LOG_ERROR, area, __VA_ARGS__)
void tf_log(enum tf_log_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
