/* argv to a command; owns nothing else. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "cmd/command.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *line;
} commands[] = {
#define X(name, function, line) {name, function, line},
	TF_COMMANDS(X)
#undef X
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static int print_help(FILE *to)
{
	fputs("Usage: tfhost COMMAND [OPTION...] [ARGUMENT...]\n"
	      "Runs flows of tasks written in Lua, and the workers that perform them.\n\n",
		to);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (commands[i].line)
			fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].line);
	}
	fputs("\n`tfhost COMMAND --help` tells the options of a command.\n", to);
	return to == stdout ? TF_EXIT_OK : TF_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	tf_mem_set_up();
	/* A reader that went away is an error of the write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	tf_log_from_environment();
	const char *name = argc > 1 ? argv[1] : NULL;
	if (!name)
		return print_help(stderr);
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts("tfhost " TF_VERSION);
		return TF_EXIT_OK;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
		return print_help(stdout);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		char *title = tf_asprintf("tfhost %s", name);
		argv[1] = title;
		int code = commands[i].run(argc - 1, argv + 1);
		free(title);
		return code;
	}
	const char *names[COMMAND_COUNT], *near;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = commands[i].line ? commands[i].name : "";
	near = tf_nearest(name, names, COMMAND_COUNT);
	if (near && *near) {
		fprintf(stderr, "tfhost: unknown command '%s', did you mean '%s'?\n", name, near);
		return TF_EXIT_USAGE;
	}
	fprintf(stderr, "tfhost: unknown command '%s'\n", name);
	return print_help(stderr);
}
