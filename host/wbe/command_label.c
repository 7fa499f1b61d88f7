#include "wbe/command_label.h"

#include <inttypes.h>
#include <unistd.h>

#include "control/control.h"

void tf_command_answer_label(void *call, const struct tf_label *label, const struct tf_err *err)
{
	struct tf_buf out = TF_BUF_INIT;
	if (err) {
		tf_control_refuse(call, err);
		return;
	}
	tf_buf_printf(&out, "{\"pid\": %ld, \"generation\": %" PRIu64 ", \"hash\": \"%s\"}", (long)getpid(),
		label->number, label->hash);
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}
