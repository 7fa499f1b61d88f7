#include "transport/diagnosis.h"

#include <stdarg.h>
#include <stdio.h>

void tf_found(const struct tf_diagnosis *d, enum tf_finding what, const char *check, const char *advice,
	const char *fmt, ...)
{
	char text[sizeof(((struct tf_err *)0)->message)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->found(d->arg, what, check, text, advice);
}
