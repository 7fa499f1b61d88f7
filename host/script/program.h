/* Whole scripts as programs: what `lua` does with a file, a line, and its arguments. An error is reported on
 * stderr, with the script's traceback. */
#ifndef TF_SCRIPT_PROGRAM_H
#define TF_SCRIPT_PROGRAM_H

struct lua_State;
struct tf_value;

/* Global table `arg`: arg[0] is argv[script], what follows it arg[1], arg[2], ..., what precedes it negative. */
void tf_program_set_arg(struct lua_State *L, char *const *argv, int argc, int script);
/* 0, or TF_ELUA after the report. */
int tf_program_run_code(struct lua_State *L, const char *code);
/* argv[0] is the file ("-": standard input), the others become the chunk's arguments. The directory of the file is
 * searched for modules. */
int tf_program_run_file(struct lua_State *L, char *const *argv, int argc);
/* Call MODULE.main(argument) of the library; *code is the integer it returns. TF_ELUA after the report. */
int tf_program_run_module(
	struct lua_State *L, const char *module, const struct tf_value *argument, int *code);
/* Tell people about a failure dict: the error, the lines of the script around it, the traceback. */
void tf_program_report(struct lua_State *L, const struct tf_value *failure);
/* Those lines alone, for any message that names a place in a script; nothing if it names none. */
void tf_program_excerpt(struct lua_State *L, const char *message);

#endif
