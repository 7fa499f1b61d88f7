/* Number tokens to C numbers and back. */
#include "base/json.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* All digits of a whole number below this one are significant. */
#define WHOLE_MAX 1e15

/* A script may call os.setlocale; the decimal point of JSON stays a point. */
static locale_t c_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	TF_ASSERT(c_locale != (locale_t)0);
}

bool tf_json_int64(struct tf_json v, int64_t *out)
{
	if (tf_json_type(v) != TF_JSON_INTEGER)
		return false;
	bool negative = v.text[0] == '-';
	uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t n = 0;
	for (size_t i = negative; i < v.len; i++) {
		uint64_t digit = (uint64_t)(v.text[i] - '0');
		if (n > (limit - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (!negative)
		*out = (int64_t)n;
	else
		*out = n > INT64_MAX ? INT64_MIN : -(int64_t)n;
	return true;
}

bool tf_json_double(struct tf_json v, double *out)
{
	enum tf_json_type type = tf_json_type(v);
	if (type != TF_JSON_INTEGER && type != TF_JSON_REAL)
		return false;
	if (v.text[0] == 'N') {
		*out = NAN;
		return true;
	}
	/* strtod wants an end, which a slice does not have. It reads "-Infinity" too. */
	char small[64];
	char *copy = v.len < sizeof small ? small : tf_malloc(v.len + 1);
	memcpy(copy, v.text, v.len);
	copy[v.len] = '\0';
	pthread_once(&once, make_locale);
	int saved = errno;
	*out = strtod_l(copy, NULL, c_locale);
	errno = saved;
	if (copy != small)
		free(copy);
	return true;
}

/* Digits d[0].d[1]... x 10^exponent. */
struct decimal {
	char digits[DBL_DECIMAL_DIG + 1];
	int exponent;
};

static bool reads_back(const struct decimal *dec, double d)
{
	char text[DBL_DECIMAL_DIG + 16];
	snprintf(text, sizeof text, "%c.%se%d", dec->digits[0], dec->digits + 1, dec->exponent);
	return strtod_l(text, NULL, c_locale) == d;
}

static struct decimal round_to(double d, int digits)
{
	char text[DBL_DECIMAL_DIG + 16];
	struct decimal dec = {.digits = ""};
	snprintf(text, sizeof text, "%.*e", digits - 1, d);
	char *out = dec.digits, *at = text;
	for (; *at != 'e'; at++) {
		if (*at != '.')
			*out++ = *at;
	}
	*out = '\0';
	dec.exponent = atoi(at + 1);
	return dec;
}

/* One unit more in the last digit. False if it would carry past the first. */
static bool step_up(struct decimal *dec)
{
	for (size_t i = strlen(dec->digits); i-- > 0;) {
		if (dec->digits[i]++ != '9')
			return true;
		dec->digits[i] = '0';
	}
	return false;
}

/* The shortest decimal that reads back as d, and the nearest to d of these; d is positive.
 *
 * Up to DBL_DIG digits survive the way through a normal double, so one trial there finds every
 * short form, with zeros behind. Subnormals hold fewer digits and are tried one by one. Above a
 * power of two the doubles lie twice as far apart as below: there the decimal next above may read
 * back where the nearest one, below, does not. */
static struct decimal shortest(double d)
{
	for (int n = d < DBL_MIN ? 1 : DBL_DIG; n < DBL_DECIMAL_DIG; n++) {
		struct decimal dec = round_to(d, n);
		if (reads_back(&dec, d))
			return dec;
		int exponent;
		if (frexp(d, &exponent) == 0.5 && step_up(&dec) && reads_back(&dec, d))
			return dec;
	}
	return round_to(d, DBL_DECIMAL_DIG);
}

/* Python's repr: plain from 1e-4 to below 1e16, else with an exponent of two digits at least. */
static void put_decimal(struct tf_buf *out, struct decimal *dec)
{
	size_t n = strlen(dec->digits);
	while (n > 1 && dec->digits[n - 1] == '0')
		dec->digits[--n] = '\0';
	const char *d = dec->digits;
	int e = dec->exponent;
	if (e < -4 || e >= 16) {
		tf_buf_printf(
			out, "%c%s%s%s%c%02d", d[0], n > 1 ? "." : "", d + 1, "e", e < 0 ? '-' : '+', abs(e));
	} else if (e < 0) {
		tf_buf_printf(out, "0.%.*s%s", -e - 1, "000", d);
	} else if ((size_t)e + 1 >= n) {
		tf_buf_printf(out, "%s%.*s.0", d, e + 1 - (int)n, "000000000000000");
	} else {
		tf_buf_printf(out, "%.*s.%s", e + 1, d, d + e + 1);
	}
}

void tf_json_write_real(struct tf_buf *out, double d)
{
	if (isnan(d)) {
		tf_buf_puts(out, "NaN");
		return;
	}
	if (signbit(d))
		tf_buf_putc(out, '-');
	if (isinf(d)) {
		tf_buf_puts(out, "Infinity");
	} else if (d == 0) {
		tf_buf_puts(out, "0.0");
	} else if (fabs(d) < WHOLE_MAX && d == trunc(d)) {
		tf_buf_put_decimal(out, (uint64_t)fabs(d), 1);
		tf_buf_puts(out, ".0");
	} else {
		pthread_once(&once, make_locale);
		locale_t caller = uselocale(c_locale);
		struct decimal dec = shortest(fabs(d));
		uselocale(caller);
		put_decimal(out, &dec);
	}
}
