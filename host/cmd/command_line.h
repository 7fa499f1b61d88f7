/* The command line of a command: argp, with a suggestion for an option that is not known. */
#ifndef TF_CMD_COMMAND_LINE_H
#define TF_CMD_COMMAND_LINE_H

#include <argp.h>

/* argp_parse, whose errors end the process with TF_EXIT_USAGE. */
void tf_command_line(const struct argp *argp, int argc, char **argv, unsigned flags, void *input);

#endif
