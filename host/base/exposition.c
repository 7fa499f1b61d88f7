#include "base/exposition.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/version.h"

void tf_expose_head(struct tf_buf *out, const char *name, const char *type, const char *help)
{
	tf_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_number(struct tf_buf *out, double n)
{
	if (isinf(n))
		tf_buf_puts(out, n > 0 ? "+Inf" : "-Inf");
	else
		tf_buf_printf(out, n == floor(n) && fabs(n) < 1e15 ? "%.0f" : "%.17g", n);
}

/* The page is UTF-8 whatever a name is. */
static void put_label(struct tf_buf *out, const char *name, const char *value)
{
	size_t len = strlen(value);
	tf_buf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];
		size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		if (c == '\n')
			tf_buf_puts(out, "\\n");
		else if (c == '"' || c == '\\')
			tf_buf_printf(out, "\\%c", c);
		else if (n > len - i || tf_utf8_valid_len(value + i, n) != n)
			tf_buf_putc(out, '?');
		else {
			tf_buf_append(out, value + i, n);
			i += n - 1;
		}
	}
	tf_buf_putc(out, '"');
}

void tf_expose_sample(struct tf_buf *out, const char *name, double number, ...)
{
	const char *label, *between = "{";
	va_list labels;
	tf_buf_puts(out, name);
	va_start(labels, number);
	while ((label = va_arg(labels, const char *)) != NULL) {
		tf_buf_puts(out, between);
		put_label(out, label, va_arg(labels, const char *));
		between = ",";
	}
	va_end(labels);
	tf_buf_puts(out, *between == ',' ? "} " : " ");
	put_number(out, number);
	tf_buf_putc(out, '\n');
}

void tf_expose_counter(struct tf_buf *out, const char *name, const char *help, uint64_t n)
{
	tf_expose_head(out, name, "counter", help);
	tf_expose_sample(out, name, (double)n, NULL);
}

void tf_expose_gauge(struct tf_buf *out, const char *name, const char *help, double n)
{
	tf_expose_head(out, name, "gauge", help);
	tf_expose_sample(out, name, n, NULL);
}

void tf_expose_histogram(struct tf_buf *out, const char *name, const char *help, const struct tf_histogram *h)
{
	uint64_t below = 0;
	tf_expose_head(out, name, "histogram", help);
	for (int i = 0; i <= TF_HISTOGRAM_BOUNDS; i++) {
		below += h->buckets[i];
		tf_buf_printf(out, "%s_bucket{le=\"", name);
		put_number(out, tf_histogram_bound(i));
		tf_buf_printf(out, "\"} %" PRIu64 "\n", below);
	}
	tf_buf_printf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name, (double)h->sum_us / 1e6, name, below);
}

void tf_expose_labelled(struct tf_buf *out, const char *name, const char *help, const char *label,
	const struct tf_labelled *rows, size_t count)
{
	tf_expose_head(out, name, "counter", help);
	for (size_t i = 0; i < count; i++)
		tf_expose_sample(out, name, (double)rows[i].n, label, rows[i].value, NULL);
}

/* ---- the process ---- */

static double resident_bytes(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "re");
	int got = f ? fscanf(f, "%lu %lu", &size, &resident) : 0;
	if (f)
		fclose(f);
	return got == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the one that reads */
}

/* Seconds since the epoch; field 22 of stat is ticks since the boot. */
static double start_time(void)
{
	char text[1024];
	unsigned long long ticks = 0;
	struct timespec now, boot;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	const char *at = strrchr(text, ')'); /* the name may have anything in it */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, "%llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(now.tv_sec - boot.tv_sec) + (double)(now.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void tf_expose_process(struct tf_buf *out)
{
	struct rusage own = {0};
	struct rlimit files = {0};
	getrusage(RUSAGE_SELF, &own);
	getrlimit(RLIMIT_NOFILE, &files);
	tf_expose_head(out, "tfhost_build_info", "gauge", "Always 1; the labels say what this is.");
	tf_expose_sample(out, "tfhost_build_info", 1, "version", TF_VERSION, NULL);
	tf_expose_head(out, "process_cpu_seconds_total", "counter",
		"Processor time of this process, without its tasks.");
	tf_expose_sample(
		out, "process_cpu_seconds_total", seconds(own.ru_utime) + seconds(own.ru_stime), NULL);
	tf_expose_gauge(out, "process_resident_memory_bytes", "Memory of this process, without its tasks.",
		resident_bytes());
	tf_expose_gauge(out, "process_open_fds", "Open descriptors.", open_descriptors());
	tf_expose_gauge(out, "process_max_fds", "Descriptors that it may open.",
		files.rlim_cur == RLIM_INFINITY ? (double)INFINITY : (double)files.rlim_cur);
	tf_expose_gauge(out, "process_start_time_seconds", "When it began, since the epoch.", start_time());
}
