/* Module tfhost.host: what the commands written in Lua need of the process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/excerpt.h"
#include "base/json.h"
#include "base/uuid.h"
#include "script/bind.h"
#include "script/modules.h"
#include "script/sources.h"
#include "script/state.h"
#include "script/task_action.h"
#include "wbe/digest.h"

/* environment() -> names of its variables */
TF_RAISES static int host_environment(lua_State *L)
{
	int n = 0;
	lua_newtable(L);
	for (char **v = environ; v && *v; v++) {
		lua_pushlstring(L, *v, strcspn(*v, "="));
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* load(reference) -> what the script reference names | nil, message, code */
TF_RAISES static int host_load(lua_State *L)
{
	const char *reference = luaL_checkstring(L, 1);
	struct tf_err err;
	if (tf_state_load(L, reference, NULL, NULL, &err) < 0)
		return tf_bind_fail(L, &err);
	return 1;
}

/* members(text of a JSON object) -> { name = text of its value } | nil, message, code */
TF_RAISES static int host_members(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct tf_json object, key, value;
	struct tf_err err;
	if (tf_json_validate(text, len, 0, &object, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_newtable(L);
	if (tf_json_type(object) != TF_JSON_OBJECT)
		return 1;
	struct tf_json_iter it = tf_json_iter(object);
	while (tf_json_next(&it, &key, &value)) {
		char *name = tf_json_strdup(key, &err);
		if (!name)
			return tf_bind_fail(L, &err);
		lua_pushlstring(L, value.text, value.len);
		lua_setfield(L, -2, name);
		free(name);
	}
	return 1;
}

/* random() -> a number from 0 up to 1, not the same in every process as math.random's are */
static int host_random(lua_State *L)
{
	lua_pushnumber(L, tf_random(1u << 30) / (double)(1u << 30));
	return 1;
}

/* time() -> Unix time, with its fraction */
static int host_time(lua_State *L)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
	return 1;
}

/* now() -> seconds that only go forward */
static int host_now(lua_State *L)
{
	lua_pushnumber(L, (double)tf_clock_ms(&tf_clock_real) / 1000);
	return 1;
}

/* What is written while a tree is on the terminal: one a process, as its descriptors are. */
static struct {
	int terminal; /* what stdout was, if it is caught, too; else -1 */
	int err;      /* what stderr was; -1: nothing is caught */
	int pipe;     /* to read from */
} host_caught = {-1, -1, -1};

enum { HOST_PIPE = 1 << 20, HOST_CHUNK = 1 << 16, HOST_CAUGHT_MAX = 1 << 20 };

/* terminal() -> rows, columns of the terminal on stdout; nothing if it is none */
static int host_terminal(lua_State *L)
{
	struct winsize size;
	int fd = host_caught.terminal >= 0 ? host_caught.terminal : STDOUT_FILENO;
	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	lua_pushinteger(L, size.ws_row);
	lua_pushinteger(L, size.ws_col);
	return 2;
}

/* A new descriptor for what `fd` is, which becomes `now`. */
static int host_move(int fd, int now)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	dup2(now, fd);
	return kept;
}

/* catch_output(stdout too) -> path of the terminal that stdout was, or nil: from here on stderr, if it is a terminal, and
 * stdout, if that is wanted and it is one, are caught, also of processes that are forked. Who writes to stdout waits while
 * nobody reads; what is too much of stderr alone is lost. */
TF_RAISES static int host_catch_output(lua_State *L)
{
	int fds[2];
	bool wants_stdout = lua_toboolean(L, 1) && isatty(STDOUT_FILENO), err = isatty(STDERR_FILENO);
	if (host_caught.pipe >= 0 || (!wants_stdout && !err) || pipe2(fds, O_CLOEXEC) < 0)
		return 0;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	if (!wants_stdout)
		fcntl(fds[1], F_SETFL, O_NONBLOCK); /* this process alone writes, and reads */
	fcntl(fds[1], F_SETPIPE_SZ, HOST_PIPE);
	fflush(NULL);
	host_caught.pipe = fds[0];
	if (err)
		host_caught.err = host_move(STDERR_FILENO, fds[1]);
	if (wants_stdout)
		host_caught.terminal = host_move(STDOUT_FILENO, fds[1]);
	close(fds[1]);
	if (!wants_stdout)
		return 0;
	lua_pushfstring(L, "/proc/self/fd/%d", host_caught.terminal);
	return 1;
}

/* caught_output() -> what has been written since the last call */
TF_RAISES static int host_caught_output(lua_State *L)
{
	char text[HOST_CHUNK];
	struct tf_buf all = TF_BUF_INIT;
	ssize_t n = 0;
	while (host_caught.pipe >= 0 && all.len < HOST_CAUGHT_MAX &&
		(n = read(host_caught.pipe, text, sizeof(text))) > 0)
		tf_buf_append(&all, text, (size_t)n);
	lua_pushlstring(L, all.len ? all.data : "", all.len);
	tf_buf_free(&all);
	return 1;
}

/* release_output(): the terminal is what it was; what is still caught is written there */
static int host_release_output(lua_State *L)
{
	char text[HOST_CHUNK];
	(void)L;
	if (host_caught.pipe < 0)
		return 0;
	fflush(NULL);
	if (host_caught.terminal >= 0) {
		dup2(host_caught.terminal, STDOUT_FILENO);
		close(host_caught.terminal);
	}
	if (host_caught.err >= 0) {
		dup2(host_caught.err, STDERR_FILENO);
		close(host_caught.err);
	}
	for (ssize_t n; (n = read(host_caught.pipe, text, sizeof(text))) > 0;)
		fwrite(text, 1, (size_t)n, stderr);
	close(host_caught.pipe);
	host_caught.terminal = host_caught.err = host_caught.pipe = -1;
	return 0;
}

/* scripts() -> { module = path } of the user's scripts that are loaded */
TF_RAISES static int host_scripts(lua_State *L)
{
	tf_state_push_scripts(L);
	return 1;
}

/* excerpt(message) -> the lines of the script around the place that it names, or "" */
TF_RAISES static int host_excerpt(lua_State *L)
{
	const char *message = luaL_checkstring(L, 1);
	struct tf_buf files = TF_BUF_INIT, out = TF_BUF_INIT;
	tf_sources_put(L, &files);
	tf_excerpt(message, &files, &out);
	lua_pushlstring(L, out.len ? out.data : "", out.len);
	tf_buf_free(&files);
	tf_buf_free(&out);
	return 1;
}

/* digest(path) -> 32 hex digits that tell whether a file's contents are the same, or nil if it cannot be read */
TF_RAISES static int host_digest(lua_State *L)
{
	static const struct tf_digest_key key; /* it must be the same tomorrow */
	const char *path = luaL_checkstring(L, 1);
	struct tf_buf text = TF_BUF_INIT;
	char chunk[1 << 14], out[TF_DIGEST_TEXT];
	size_t n;
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		tf_buf_append(&text, chunk, n);
	bool bad = ferror(f);
	fclose(f);
	tf_digest(&key, text.len ? text.data : "", text.len, out);
	tf_buf_free(&text);
	if (bad)
		return 0;
	lua_pushstring(L, out);
	return 1;
}

/* directory() -> the working directory */
TF_RAISES static int host_directory(lua_State *L)
{
	char path[PATH_MAX];
	lua_pushstring(L, getcwd(path, sizeof(path)) ? path : ".");
	return 1;
}

/* enter(directory) -> true, or false if that cannot be the working directory */
TF_RAISES static int host_enter(lua_State *L)
{
	lua_pushboolean(L, chdir(luaL_checkstring(L, 1)) == 0);
	return 1;
}

/* mkdir(path) -> true | nil, message: one directory, which may be there already */
TF_RAISES static int host_mkdir(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;
	struct tf_err err;
	if (mkdir(path, 0777) < 0 && !(errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
		tf_err_sys(&err, "cannot make the directory %s", path);
		return tf_bind_fail(L, &err);
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* entries(path) -> names in a directory, but . and .., in no order | nil, message */
TF_RAISES static int host_entries(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct tf_buf names = TF_BUF_INIT;
	struct tf_err err;
	DIR *dir = opendir(path);
	if (!dir) {
		tf_err_sys(&err, "cannot read the directory %s", path);
		return tf_bind_fail(L, &err);
	}
	for (const struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			tf_buf_append(&names, e->d_name, strlen(e->d_name) + 1);
	closedir(dir);
	lua_newtable(L);
	for (size_t at = 0, n = 1; at < names.len; at += strlen(names.data + at) + 1, n++) {
		lua_pushstring(L, names.data + at);
		lua_rawseti(L, -2, (int)n);
	}
	tf_buf_free(&names);
	return 1;
}

/* In the new process: it dies with its parent, and Ctrl-C is its parent's to handle. */
_Noreturn static void host_become(char *const *argv, int log, pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv("/proc/self/exe", argv);
	perror("cannot start tfhost");
	_exit(127);
}

/* spawn(words, log) -> pid | nil, message: this program once more, `tfhost WORDS...`. What it says is appended to the
 * file `log`. Ended by `stop`, or with this process. */
TF_RAISES static int host_spawn(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	const char *log = luaL_checkstring(L, 2);
	size_t n = lua_objlen(L, 1);
	const char **argv = lua_newuserdata(L, (n + 2) * sizeof(*argv));
	struct tf_err err;
	argv[0] = "tfhost";
	for (size_t i = 1; i <= n; i++) {
		lua_rawgeti(L, 1, (int)i); /* stays in the list, and alive with it */
		argv[i] = luaL_checkstring(L, -1);
		lua_pop(L, 1);
	}
	argv[n + 1] = NULL;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	fflush(NULL);
	pid_t parent = getpid(), pid = fd < 0 ? -1 : fork();
	if (pid == 0)
		host_become((char *const *)(uintptr_t)argv, fd, parent);
	int rc = pid < 0 ? tf_err_sys(&err, "cannot start tfhost %s", n ? argv[1] : "") : 0;
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return tf_bind_fail(L, &err);
	lua_pushinteger(L, pid);
	return 1;
}

/* lives(pid) -> whether a process that spawn gave still runs */
TF_RAISES static int host_lives(lua_State *L)
{
	siginfo_t info = {0};
	int rc = waitid(P_PID, (id_t)luaL_checkinteger(L, 1), &info, WEXITED | WNOHANG | WNOWAIT);
	lua_pushboolean(L, rc == 0 && info.si_pid == 0);
	return 1;
}

/* stop(pid): ends a process that spawn gave, by TERM, and by KILL if that takes long */
TF_RAISES static int host_stop(lua_State *L)
{
	enum { STEP_MS = 10, LIMIT_MS = 3000 };
	static const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	pid_t pid = (pid_t)luaL_checkinteger(L, 1);
	kill(pid, SIGTERM);
	for (int ms = 0; ms < LIMIT_MS; ms += STEP_MS) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return 0;
		nanosleep(&step, NULL);
	}
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

/* terminate(pid, host) -> true if that process, on this host, was asked to end */
TF_RAISES static int host_terminate(lua_State *L)
{
	pid_t pid = (pid_t)luaL_checknumber(L, 1);
	char name[65] = "";
	gethostname(name, sizeof(name) - 1);
	lua_pushboolean(L, pid > 1 && !strcmp(name, luaL_checkstring(L, 2)) && kill(pid, SIGTERM) == 0);
	return 1;
}

static int host_pid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

/* only(table, key) -> table[key] if it has nothing else; else nothing */
TF_RAISES static int host_only(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	lua_pushnil(L);
	if (!lua_next(L, 1) || !lua_rawequal(L, 3, 2))
		return 0;
	lua_insert(L, 3); /* table, key, value, key */
	if (lua_next(L, 1))
		return 0;
	return 1;
}

/* caller(known, look) -> known[f], current line: of the nearest function f on the stack for which that is true, above the
 * one that calls this, as debug.getinfo finds it, without its tables; nothing if there is none. Of a function that `known`
 * lacks it has look(f). */
TF_RAISES static int host_caller(lua_State *L)
{
	lua_Debug frame;
	for (int level = 2; lua_getstack(L, level, &frame); level++) {
		lua_settop(L, 2);
		lua_getinfo(L, "f", &frame);
		lua_pushvalue(L, 3);
		lua_rawget(L, 1);
		if (lua_isnil(L, 4)) {
			lua_settop(L, 3);
			lua_pushvalue(L, 2);
			lua_insert(L, 3);
			lua_call(L, 1, 1);
		}
		if (!lua_toboolean(L, -1))
			continue;
		lua_getinfo(L, "l", &frame);
		if (frame.currentline > 0) {
			lua_pushinteger(L, frame.currentline);
			return 2;
		}
	}
	return 0;
}

/* sleep(seconds) */
TF_RAISES static int host_sleep(lua_State *L)
{
	double seconds = luaL_checknumber(L, 1);
	const struct timespec wait = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	nanosleep(&wait, NULL);
	return 0;
}

int tf_bind_host_open(lua_State *L)
{
	static const struct luaL_Reg functions[] = {
		{"environment", host_environment},
		{"load", host_load},
		{"members", host_members},
		{"now", host_now},
		{"caller", host_caller},
		{"only", host_only},
		{"notify", tf_task_action_notify},
		{"random", host_random},
		{"time", host_time},
		{"scripts", host_scripts},
		{"excerpt", host_excerpt},
		{"digest", host_digest},
		{"directory", host_directory},
		{"enter", host_enter},
		{"mkdir", host_mkdir},
		{"spawn", host_spawn},
		{"lives", host_lives},
		{"stop", host_stop},
		{"entries", host_entries},
		{"terminate", host_terminate},
		{"pid", host_pid},
		{"sleep", host_sleep},
		{"terminal", host_terminal},
		{"catch_output", host_catch_output},
		{"caught_output", host_caught_output},
		{"release_output", host_release_output},
		{NULL, NULL},
	};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
