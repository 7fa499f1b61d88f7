/* Messages of one data folder that this process has claimed: how their files are read, waited for while
 * a writer is not done with them, and got rid of. Internal to fs_inbox.c, which claims and delivers.
 *
 * A claim is owned by whoever has it: the inbox (delivered and not settled), or one of the two lists here. */
#ifndef TF_TRANSPORT_FS_CLAIMS_H
#define TF_TRANSPORT_FS_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "transport/fs_spool.h"
#include "transport/fs_warnings.h"
#include "transport/kombu_file.h"
#include "transport/transport.h"

#define TF_FS_QUARANTINE ".tfhost-quarantine" /* in the data folder: files that are no messages */

struct tf_fs_consumer;

enum tf_fs_fate { TF_FS_REMOVE, TF_FS_GIVE_BACK, TF_FS_SET_ASIDE };

struct tf_fs_claim {
	TAILQ_ENTRY(tf_fs_claim) link;   /* while incomplete or stuck */
	char *message;                   /* owned: its name */
	struct tf_fs_consumer *consumer; /* borrowed: for whom it was claimed */
	uint64_t give_up, next;          /* ms; while incomplete */
	unsigned delay;
	enum tf_fs_fate fate; /* while stuck */
};

TAILQ_HEAD(tf_fs_claim_list, tf_fs_claim);

struct tf_fs_claims {
	struct tf_transport *transport; /* borrowed: its counters, limits */
	/* The message is in the folder again, for us as well. */
	void (*returned)(void *arg, const char *message);
	void *arg;
	struct tf_fs_claim_list incomplete; /* the next to be read again first */
	struct tf_fs_claim_list stuck;      /* done with, but the file could not be moved */
	struct tf_fs_warnings warnings;

	/* while attached */
	const char *path;          /* borrowed */
	int folder;                /* borrowed; -1: detached */
	struct tf_fs_spool *spool; /* borrowed */
	int processed;             /* borrowed; -1: messages are removed when settled */
	int quarantine;            /* opened when first needed */
};

void tf_fs_claims_create(struct tf_fs_claims *cs, struct tf_transport *t,
	void (*returned)(void *arg, const char *message), void *arg);
/* All arguments are borrowed until detached. */
void tf_fs_claims_attach(
	struct tf_fs_claims *cs, const char *path, int folder, struct tf_fs_spool *spool, int processed);
/* Both lists are forgotten; their files stay in the spool for whoever recovers it. */
void tf_fs_claims_detach(struct tf_fs_claims *cs);

/* A message that the spool has claimed. Takes `message`. */
struct tf_fs_claim *tf_fs_claim_new(char *message, struct tf_fs_consumer *consumer);
void tf_fs_claim_free(struct tf_fs_claim *c);

/* As tf_kombu_file_read, and TF_ENOTFOUND: the claim is gone. *len are the bytes read. */
int tf_fs_claims_read(struct tf_fs_claims *cs, struct tf_fs_claim *c, struct tf_kombu_file *out, size_t *len,
	struct tf_err *err);
/* The claim's writer has got its whole time, and the file is no message yet. */
bool tf_fs_claims_is_late(const struct tf_fs_claim *c);
/* To be read again in a while. Takes the claim. */
void tf_fs_claims_wait(struct tf_fs_claims *cs, struct tf_fs_claim *c);
/* The first of those, off its list, if it is to be read again by now; or NULL. */
struct tf_fs_claim *tf_fs_claims_pop_due(struct tf_fs_claims *cs);
/* In how many ms there is one, at least 1; 0: none waits. */
uint64_t tf_fs_claims_due(const struct tf_fs_claims *cs);

/* What fails is tried again by tf_fs_claims_retry: left alone, a settled message would come back when we are
 * gone, and a returned one would not. Takes the claim. */
void tf_fs_claims_finish(struct tf_fs_claims *cs, struct tf_fs_claim *c, enum tf_fs_fate fate);
void tf_fs_claims_retry(struct tf_fs_claims *cs);
/* It is no message: counted, told and set aside. Takes the claim. */
void tf_fs_claims_refuse(struct tf_fs_claims *cs, struct tf_fs_claim *c, const struct tf_err *why);
/* Back it goes as if it had never been claimed. Takes the claim. */
void tf_fs_claims_undo(struct tf_fs_claims *cs, struct tf_fs_claim *c);
/* The same for all that wait for their writers; `returned` is not called. */
void tf_fs_claims_undo_incomplete(struct tf_fs_claims *cs);

#endif
