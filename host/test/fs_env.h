/* What the tests of the filesystem transport start from: a loop, and a folder with the data folder "q" in it. */
#ifndef TF_TEST_FS_ENV_H
#define TF_TEST_FS_ENV_H

#include "temp_folder.h"
#include "transport_peer.h"

#define FS_UUID "6ed90ec7-2be2-4cb0-ab58-4a7b1d47" /* and 4 digits: of a message's name */
#define FS_SPOOL "q/.tfhost-spool"
#define FS_QUARANTINE "q/.tfhost-quarantine"

extern struct tf_loop *fs_loop;
extern struct temp_folder fs_dir;

int fs_set_up(void **state);
/* In a child, which gets here when a check failed in it, it exits. */
int fs_tear_down(void **state);

/* `more` continues the options object, as in ", \"watch\": false". */
void fs_open_on(struct peer *p, const char *in, const char *out, const char *more);
void fs_open_peer(struct peer *p);

/* On a loop of the caller's, with short polls and retries: for processes that come and go. */
void fs_open_in(struct peer *p, struct tf_loop *loop);

/* A file as kombu would leave it, with this body (taken literally). Caller frees. */
char *fs_content(const char *body);
/* Write it into the data folder. */
void fs_put(const char *name, const char *body);

#endif
