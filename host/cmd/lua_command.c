#include "cmd/lua_command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "cmd/command.h"
#include "script/program.h"
#include "script/sources.h"
#include "script/state.h"

static void write_sources(struct lua_State *L, int fd)
{
	struct tf_buf files = TF_BUF_INIT;
	FILE *to = fdopen(fd, "w");
	tf_sources_put(L, &files);
	if (to && files.len)
		fwrite(files.data, 1, files.len, to);
	if (to)
		fclose(to);
	tf_buf_free(&files);
}

int tf_lua_command(const char *program, const char *module, const struct tf_value *options, int sources)
{
	struct lua_State *L = NULL;
	struct tf_err err;
	int code = TF_EXIT_ERROR;
	if (tf_state_new(&(struct tf_state_options){.makes_flows = true}, &L, &err) < 0) {
		fprintf(stderr, "%s: %s\n", program, err.message);
		return code;
	}
	if (tf_program_run_module(L, module, options, &code) < 0)
		code = TF_EXIT_ERROR;
	if (sources >= 0)
		write_sources(L, sources);
	tf_state_delete(L);
	return code;
}

enum { KEY_LUA_DIR = 700 };

static const struct argp_option lua_dir_options[] = {
	{"lua-dir", KEY_LUA_DIR, "DIR", 0, "Take the library from the source tree DIR (also: TFHOST_LUA_DIR)",
		0},
	{0},
};

static error_t lua_dir_parse(int key, char *value, struct argp_state *state)
{
	(void)state;
	if (key != KEY_LUA_DIR)
		return ARGP_ERR_UNKNOWN;
	setenv("TFHOST_LUA_DIR", value, 1);
	return 0;
}

const struct argp tf_lua_dir_argp = {.options = lua_dir_options, .parser = lua_dir_parse};
