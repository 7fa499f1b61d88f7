/* One message as kombu's filesystem transport stores it: name and content (PROTOCOL.md 12.2, 12.3).
 *
 * The content is one JSON object that carries the body as base64. We write it byte for byte as
 * kombu 5.2.4 does; our peer header is a member of "headers". We read what any kombu since then
 * writes, any order of keys and unknown keys included. Nothing here touches the disk. */
#ifndef TF_TRANSPORT_KOMBU_FILE_H
#define TF_TRANSPORT_KOMBU_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "transport/transport.h"

/* A file name holds the queue's, plus this much at most, and may have 255 bytes. */
#define TF_KOMBU_NAME_EXTRA 64
#define TF_KOMBU_QUEUE_MAX (255 - TF_KOMBU_NAME_EXTRA)

/* "<exchange>_<topic>", to be freed; NULL with TF_EINVAL: dots and slashes are not allowed in either
 * (PROTOCOL.md 11.9), and the file's name must fit. */
char *tf_kombu_queue(const char *exchange, const char *topic, struct tf_err *err);

struct tf_kombu_name {
	uint64_t ms;       /* what orders the messages of a queue, numerically */
	const char *queue; /* into the parsed name, not terminated */
	size_t queue_len;
};

/* "<ms>_<uuid>.<queue>.msg", nothing before, between or after: kombu's own search for ".<queue>.msg"
 * anywhere would give queue "b" the messages of queue "a.b". False for every other name. */
bool tf_kombu_name_parse(const char *name, struct tf_kombu_name *out);
/* Caller frees. */
char *tf_kombu_name_make(uint64_t ms, const char *uuid, const char *queue);

/* Append the content. `tag` is the delivery tag, a unique string. TF_EINVAL names the property
 * that is not UTF-8; then nothing was appended. m->redelivered adds `"redelivered": true`. */
int tf_kombu_file_write(struct tf_buf *out, const struct tf_message *m, const char *exchange, const char *tag,
	struct tf_err *err);

struct tf_kombu_file {
	struct tf_message m; /* topic NULL, tag 0; points into the members below */
	struct tf_buf body;
	char *type, *reply_to, *correlation_id, *content_type, *peer; /* owned or NULL */
};

/* TF_EAGAIN: no complete JSON object; a writer of Python may not have finished.
 * TF_EFORMAT: can never become a message; the story names the member.
 * TF_ELIMIT: the body has more than max_body bytes.
 * Otherwise `out` is to be destroyed. */
int tf_kombu_file_read(
	const char *text, size_t len, size_t max_body, struct tf_kombu_file *out, struct tf_err *err);
void tf_kombu_file_destroy(struct tf_kombu_file *f);

/* Make the content that of a redelivered message, as kombu marks one. False if it is no complete
 * JSON object; then nothing was changed. */
bool tf_kombu_file_mark_redelivered(struct tf_buf *content);

#endif
