/* Error codes and the error record.
 *
 * A function that can fail returns 0, or a negative code of the list below, and
 * puts the story into a caller-owned `struct tf_err`: what was wrong, where, and
 * what to do. The record owns no memory. `err` may be NULL wherever it is taken.
 */
#ifndef TF_BASE_ERR_H
#define TF_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

/* code, text. Value of code i is -(i + 1). */
#define TF_ERR_CODES(X) \
	X(TF_EINVAL, "invalid argument")   /* the caller's mistake */ \
	X(TF_EFORMAT, "malformed data")    /* foreign bytes break a format rule */ \
	X(TF_ELIMIT, "limit exceeded")     /* size, depth, queue length */ \
	X(TF_EAGAIN, "not now, try later") /* queue full, no free slot */ \
	X(TF_ENOTFOUND, "not found") \
	X(TF_EEXIST, "already exists") \
	X(TF_ESTATE, "not allowed in this state") \
	X(TF_EIO, "input or output failed") \
	X(TF_EAUTH, "access refused") \
	X(TF_ETIMEOUT, "timed out") \
	X(TF_ECLOSED, "closed") \
	X(TF_ELUA, "error in a script") \
	X(TF_EMISSING, "missing dependencies") \
	X(TF_ECYCLE, "dependency cycle") \
	X(TF_ESYS, "operating system error")

enum tf_err_index {
#define X(name, text) name##_INDEX,
	TF_ERR_CODES(X)
#undef X
		TF_ERR_COUNT
};

enum tf_err_code {
	TF_OK = 0,
#define X(name, text) name = -(name##_INDEX + 1),
	TF_ERR_CODES(X)
#undef X
};

struct tf_err {
	int code;         /* one of enum tf_err_code */
	const char *file; /* where it was raised: static string */
	int line;
	char message[1000]; /* NUL-terminated; a longer one ends in "..." */
};

/* Text of `code` ("malformed data"), "unknown error" for a foreign one. Static. */
const char *tf_err_text(int code);

/* Fill `err` (unless NULL) and return `code`, so that a caller can
 * `return tf_err_set(err, TF_EINVAL, "...")`. Replaces an earlier story. */
#define tf_err_set(err, code, ...) tf_err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)
int tf_err_set_at(struct tf_err *err, int code, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The same with errno's text appended ("...: No such file or directory"). */
#define tf_err_sys(err, ...) tf_err_sys_at((err), __FILE__, __LINE__, __VA_ARGS__)
int tf_err_sys_at(struct tf_err *err, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Put "prefix: " before the story already in `err`; returns its code (TF_EINVAL if `err` is NULL:
 * whoever passes the code on keeps it beside the call). */
int tf_err_prefix(struct tf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Our own bug: print expression and place to stderr, then abort, in every build. */
#define TF_ASSERT(x) ((x) ? (void)0 : tf_bug(#x, __FILE__, __LINE__))
_Noreturn void tf_bug(const char *what, const char *file, int line);

#endif
