/* The answer of the commands that change generations. */
#ifndef TF_WBE_COMMAND_LABEL_H
#define TF_WBE_COMMAND_LABEL_H

#include "pool/generations.h"

/* A tf_generations_done; `call` is the struct tf_control_call. */
void tf_command_answer_label(void *call, const struct tf_label *label, const struct tf_err *err);

#endif
