#include "cmd/command_line.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cmd/command.h"

enum { LINE_OPTIONS = 128 };

/* What argp knows, children included. */
struct line_options {
	const struct argp_option *options[LINE_OPTIONS];
	size_t count;
};

static void collect(const struct argp *argp, struct line_options *all)
{
	const struct argp_option *o = argp->options;
	for (; o && (o->name || o->key || o->doc); o++) {
		if (all->count < LINE_OPTIONS)
			all->options[all->count++] = o;
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++)
		collect(c->argp, all);
}

/* The option that a long name, possibly cut short, is taken for; NULL. */
static const struct argp_option *long_option(const struct line_options *all, const char *name, size_t len)
{
	for (size_t i = 0; i < all->count; i++) {
		const char *known = all->options[i]->name;
		if (known && !strncmp(known, name, len))
			return all->options[i];
	}
	return NULL;
}

/* Whether the letters of "-xyz" leave the last one without the argument that it takes. */
static bool wants_next(const struct line_options *all, const char *letters)
{
	for (const char *c = letters; *c; c++) {
		for (size_t i = 0; i < all->count; i++) {
			const struct argp_option *o = all->options[i];
			if (o->key == *c && isprint((unsigned char)*c) && o->arg)
				return c[1] == '\0';
		}
	}
	return false;
}

_Noreturn static void refuse(
	const struct line_options *all, const char *program, const char *name, size_t len)
{
	const char *names[LINE_OPTIONS], *near;
	char word[64];
	size_t count = 0;
	for (size_t i = 0; i < all->count; i++) {
		if (all->options[i]->name)
			names[count++] = all->options[i]->name;
	}
	snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), name);
	near = tf_nearest(word, names, count);
	if (near)
		fprintf(stderr, "%s: unknown option '--%s', did you mean '--%s'?\n", program, word, near);
	else
		fprintf(stderr, "%s: unknown option '--%s' (`%s --help` lists them)\n", program, word,
			program);
	exit(TF_EXIT_USAGE);
}

void tf_command_line(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
	static const struct argp_option builtin[] = {
		{"help", '?', 0, 0, 0, 0}, {"usage", 0, 0, 0, 0, 0}, {0}};
	const struct argp known = {.options = builtin};
	struct line_options all = {.count = 0};
	collect(argp, &all);
	collect(&known, &all);
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *word = argv[i];
		if (word[0] != '-' || !word[1]) {
			if (flags & ARGP_IN_ORDER)
				break;
			continue;
		}
		if (word[1] != '-') {
			i += wants_next(&all, word + 1);
			continue;
		}
		size_t len = strcspn(word + 2, "=");
		const struct argp_option *o = long_option(&all, word + 2, len);
		if (!o)
			refuse(&all, argv[0], word + 2, len);
		i += o->arg && !word[2 + len];
	}
	argp_err_exit_status = TF_EXIT_USAGE;
	argp_parse(argp, argc, argv, flags, NULL, input);
}
