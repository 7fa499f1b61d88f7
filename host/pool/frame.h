/* Frames between supervisor, loader and slots: length, type, id, and up to TF_FRAME_FIELDS byte strings.
 *
 *   u32 length of what follows the header · u8 type · u8 number of fields · u16 mark · u64 id
 *   then each field: u32 length, bytes
 *
 * Numbers are in host order: both ends are one executable on one machine. A slot runs foreign code, so
 * whatever arrives is checked before it is believed: mark, type, bounds, number of fields for the type.
 */
#ifndef TF_POOL_FRAME_H
#define TF_POOL_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "protocol/message.h"

/* X(type, number of fields) */
#define TF_FRAME_TYPES(X) \
	X(LOADED, \
		4) /* loader: class names, files read, each ended by NUL; hash of the files; limits of the classes */ \
	X(LOAD_ERROR, 2)  /* loader: story; files read */ \
	X(FORK, 1)        /* to the loader, a descriptor with it: id of the slot; largest frame (u64) */ \
	X(FORKED, 1)      /* loader: pid (u64) of slot id, 0: fork failed */ \
	X(BORN, 1)        /* slot: pid (u64), before anything that may fail */ \
	X(READY, 0)       /* slot: waits for work */ \
	X(START_ERROR, 1) /* slot: story; it exits */ \
	X(CLAIMS, 0)      /* to the slot, first of all, a descriptor with it: its page (claims.h) */ \
	X(RUN, 11)        /* to the slot: a request (tf_frame_put_request), id is the job */ \
	X(LIMITS, 1)      /* slot: struct tf_limits of the job, which begins */ \
	X(BREACH, \
		1) /* slot: bytes (u64) beyond its limit that it was about to take; it waits to be killed */ \
	X(EVENT, 2) /* slot: type, details */ \
	X(DONE, 2)  /* slot: "0" or "1" (failed), result */

enum tf_frame_type {
#define X(name, fields) TF_FRAME_##name,
	TF_FRAME_TYPES(X)
#undef X
		TF_FRAME_TYPE_COUNT
};
const char *tf_frame_type_name(enum tf_frame_type t); /* "LOADED", ... */

enum { TF_FRAME_HEADER = 16, TF_FRAME_FIELDS = 11 };

struct tf_slice {
	const char *data;
	size_t len;
};

struct tf_frame {
	enum tf_frame_type type;
	uint64_t id;
	unsigned count;
	struct tf_slice field[TF_FRAME_FIELDS]; /* borrowed from the bytes read */
};

/* Append a frame. The number of fields is the type's. TF_ELIMIT if it would be longer than `max`. */
int tf_frame_put(struct tf_buf *out, size_t max, enum tf_frame_type type, uint64_t id,
	const struct tf_slice *fields, struct tf_err *err);
/* Whose request a RUN frame has: what this process logs from now on is about it. */
void tf_frame_set_log_ids(const struct tf_frame *f);
/* The request of a RUN frame. */
int tf_frame_put_request(
	struct tf_buf *out, size_t max, uint64_t id, const struct tf_request *r, struct tf_err *err);

/* Read the frame that begins at data[0]. 0 with *used == 0: more bytes are needed; 0 with *used > 0: *out is the
 * frame, *used bytes long. TF_EFORMAT, TF_ELIMIT: no frame can follow on this stream. */
int tf_frame_get(
	const char *data, size_t len, size_t max, struct tf_frame *out, size_t *used, struct tf_err *err);
/* Take the request out of a RUN frame (values are copied, not validated again: they are the
 * supervisor's; `flow` and `uuid` are left out). tf_request_free afterwards. */
int tf_frame_get_request(const struct tf_frame *f, struct tf_request *out, struct tf_err *err);

struct tf_slice tf_frame_u64(const uint64_t *value); /* field of a number, borrowed */
int tf_frame_get_u64(const struct tf_frame *f, unsigned field, uint64_t *out, struct tf_err *err);

/* Blocking ends (loader, slot). Send all of `out` and empty it; TF_ECLOSED when the peer is gone. */
int tf_frame_send(int fd, struct tf_buf *out, struct tf_err *err);
/* Send `frame` and a descriptor with it, without waiting. TF_ESTATE: only a part went, the stream is of no use. */
int tf_frame_pass(int fd, const struct tf_buf *frame, int passed, struct tf_err *err);
/* Wait for a whole frame in `in`, which keeps what arrived beyond it: tf_buf_consume(in, *used) after use.
 * TF_ECLOSED at the end of the stream. `passed` (unless NULL) takes a descriptor that came along, else -1. */
int tf_frame_recv(int fd, struct tf_buf *in, size_t max, struct tf_frame *out, size_t *used, int *passed,
	struct tf_err *err);

#endif
