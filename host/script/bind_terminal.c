/* Module tfhost.terminal: the whole screen, and single keys, for as long as a command shows something that moves. However the
 * process ends, but by KILL, the terminal is as before. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/call.h"
#include "script/modules.h"

/* The terminal is the process's, as it was before; one, as it is. */
static struct termios terminal_before;
static volatile sig_atomic_t terminal_open;

static void terminal_write(const char *text)
{
	for (size_t len = strlen(text); len > 0;) {
		ssize_t n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

/* Also in a signal handler. */
static void terminal_restore(void)
{
	if (!terminal_open)
		return;
	terminal_open = 0;
	terminal_write("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

static void terminal_on_signal(int signo)
{
	terminal_restore();
	raise(signo); /* it has its usual meaning again: SA_RESETHAND */
}

/* open() -> true: keys come one by one and unseen, the screen is another one, the cursor hidden. false: standard input or output
 * is no terminal. */
static int terminal_begin(lua_State *L)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = terminal_on_signal, .sa_flags = SA_RESETHAND | SA_NODEFER};
	struct termios raw;
	lua_pushboolean(L, terminal_open);
	if (terminal_open || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &terminal_before) < 0)
		return 1;
	raw = terminal_before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	atexit(terminal_restore);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	terminal_open = 1;
	terminal_write("\033[?1049h\033[?25l");
	lua_pushboolean(L, 1);
	return 1;
}

/* close() */
static int terminal_end(lua_State *L)
{
	(void)L;
	terminal_restore();
	return 0;
}

/* key(seconds) -> what was typed, a character or the bytes of a key | nil: nothing within that time | false: nobody can type
 * any more */
TF_RAISES static int terminal_key(lua_State *L)
{
	struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
	char bytes[16];
	if (poll(&wait, 1, (int)(1000 * luaL_checknumber(L, 1))) <= 0)
		return 0;
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (n > 0)
		lua_pushlstring(L, bytes, (size_t)n);
	else
		lua_pushboolean(L, 0);
	return 1;
}

int tf_bind_terminal_open(lua_State *L)
{
	static const struct luaL_Reg functions[] = {
		{"open", terminal_begin}, {"close", terminal_end}, {"key", terminal_key}, {NULL, NULL}};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
