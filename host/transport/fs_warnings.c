#include "transport/fs_warnings.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

enum { A_SECOND = 5 };

void tf_fs_warnings_add(struct tf_fs_warnings *w, const char *path, const char *fmt, ...)
{
	uint64_t now = tf_clock_ms(&tf_clock_real);
	char text[1200];
	va_list args;

	if (now - w->since >= 1000) {
		if (w->unsaid)
			tf_warn("filesystem", "%s: %u more warnings like the last ones", path, w->unsaid);
		w->since = now;
		w->said = w->unsaid = 0;
	}
	if (w->said == A_SECOND) {
		w->unsaid++;
		return;
	}
	w->said++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tf_warn("filesystem", "%s", text);
}
