/* Events of a worker as JSON objects, for `tfhost events`. Each function returns at once when nobody listens. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "wbe/service.h"

static void begin(struct tf_buf *b, const char *event)
{
	tf_buf_printf(b, "{\"event\": \"%s\", \"at\": %.3f", event, (double)tf_limits_wall_ms() / 1000);
}

static void end(struct tf_server *s, struct tf_buf *b, const char *more)
{
	if (more)
		tf_buf_printf(b, ", %s", more);
	tf_buf_putc(b, '}');
	s->witness(s->witness_arg, b->data, b->len);
	tf_buf_free(b);
}

void tf_witness_tell(struct tf_server *s, const char *event, const char *more)
{
	struct tf_buf b = TF_BUF_INIT;
	if (!s->witness)
		return;
	begin(&b, event);
	end(s, &b, more);
}

void tf_witness_reason(struct tf_server *s, const char *event, const char *why)
{
	struct tf_buf b = TF_BUF_INIT;
	if (!s->witness)
		return;
	begin(&b, event);
	tf_buf_puts(&b, ", ");
	tf_json_write_text(&b, "reason", why);
	end(s, &b, NULL);
}

static void begin_job(struct tf_buf *b, const struct tf_job *j, const char *event)
{
	begin(b, event);
	tf_buf_puts(b, ", ");
	tf_json_write_text(b, "task", j->task_name);
	tf_buf_printf(b, ", \"action\": \"%s\", ", tf_action_name(j->action));
	tf_json_write_text(b, "uuid", j->correlation_id);
	tf_buf_puts(b, ", ");
	tf_json_write_text(b, "engine", j->engine->reply_to);
	if (j->label.number)
		tf_buf_printf(b, ", \"generation\": %" PRIu64, j->label.number);
}

void tf_witness_job(struct tf_server *s, const struct tf_job *j, const char *event, const char *more)
{
	struct tf_buf b = TF_BUF_INIT;
	if (!s->witness)
		return;
	begin_job(&b, j, event);
	end(s, &b, more);
}

void tf_witness_notified(
	struct tf_server *s, const struct tf_job *j, const char *type, const struct tf_value *details)
{
	struct tf_buf b = TF_BUF_INIT;
	if (!s->witness)
		return;
	begin_job(&b, j, "notified");
	tf_buf_puts(&b, ", ");
	tf_json_write_text(&b, "type", type);
	tf_buf_printf(&b, ", \"details\": %s", tf_value_text(details));
	end(s, &b, NULL);
}

/* What a failure says for people. */
static void put_failure(struct tf_buf *b, const struct tf_value *result)
{
	struct tf_json types, first, text;
	struct tf_json failure = tf_value_json(result);
	if (tf_json_get(failure, "exc_type_names", &types) && tf_json_at(types, 0, &first))
		tf_buf_printf(b, ", \"type\": %.*s", (int)first.len, first.text);
	if (tf_json_get(failure, "exception_str", &text))
		tf_buf_printf(b, ", \"reason\": %.*s", (int)text.len, text.text);
}

void tf_witness_finished(
	struct tf_server *s, const struct tf_job *j, bool failed, const struct tf_value *result)
{
	struct tf_buf b = TF_BUF_INIT;
	if (!s->witness)
		return;
	begin_job(&b, j, failed ? "failed" : "succeeded");
	if (j->ran_us >= 0)
		tf_buf_printf(&b, ", \"seconds\": %.6f", (double)j->ran_us / 1e6);
	if (failed)
		put_failure(&b, result);
	end(s, &b, NULL);
}

void tf_witness_generation(struct tf_server *s, size_t classes)
{
	const struct tf_label *label;
	char more[96];
	if (!s->witness || s->ready_err.code || !s->endpoint.ops->label)
		return;
	label = s->endpoint.ops->label(s->endpoint.pool);
	snprintf(more, sizeof(more), "\"generation\": %" PRIu64 ", \"hash\": \"%s\", \"classes\": %zu",
		label->number, label->hash, classes);
	tf_witness_tell(s, "generation", more);
}
