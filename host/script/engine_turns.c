/* Running an engine from Lua: all at once, or phase by phase. */
#include <math.h>
#include <signal.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/executor_serial.h"
#include "script/interrupt.h"
#include "wbe/executor.h"

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t loop_now(const struct tf_engine_handle *h)
{
	return tf_clock_ms(tf_loop_clock(h->loop));
}

uint64_t tf_engine_handle_virtual_ms(void *arg)
{
	const struct tf_engine_handle *h = arg;
	return h->virtual_ms;
}

/* clock(seconds) -> the virtual time in seconds, after that many have passed */
TF_RAISES static int turns_clock(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	double seconds = luaL_optnumber(L, 2, 0);
	if (seconds > 0 && seconds < 1e12)
		h->virtual_ms += (uint64_t)ceil(seconds * 1000);
	lua_pushnumber(L, (double)h->virtual_ms / 1000);
	return 1;
}

static void on_wake(void *arg)
{
	(void)arg; /* that the loop turned is enough */
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One turn of the loop, of at most `ms`. */
static void turn_for(struct tf_engine_handle *h, uint64_t ms)
{
	if (ms != UINT64_MAX && ms > 0) {
		if (!h->wake)
			h->wake = tf_timer_new(h->loop, on_wake, h);
		tf_timer_start(h->wake, ms, 0);
	}
	tf_loop_turn(h->loop, ms > 0);
	if (h->wake)
		tf_timer_stop(h->wake);
}

/* Signals and timers have their turn, though not between any two short tasks. `now`: seconds */
static void turn_briefly(struct tf_engine_handle *h, double now)
{
	static const double often = 0.001;
	if (now - h->turned < often && h->turned <= now)
		return;
	h->turned = now;
	tf_loop_turn(h->loop, false);
}

/* WAITING: until something arrived, a delay is over, the flow was suspended, or `limit` ms are over. */
static void wait_for_arrivals(struct tf_engine_handle *h, uint64_t limit, double now)
{
	enum tf_state state = tf_engine_flow_state(h->engine);
	uint64_t began = limit == UINT64_MAX ? 0 : loop_now(h), spent = 0;
	if (h->serial)
		tf_executor_serial_step(h->executor);
	if (!tf_engine_waits(h->engine)) {
		turn_briefly(h, now);
		return;
	}
	while (tf_engine_waits(h->engine) && tf_engine_flow_state(h->engine) == state) {
		uint64_t ms =
			least(tf_engine_wait_ms(h->engine), limit == UINT64_MAX ? limit : limit - spent);
		if (h->virtual_time && ms != UINT64_MAX) {
			h->virtual_ms += ms;
			return;
		}
		turn_for(h, ms);
		spent = limit == UINT64_MAX ? 0 : least(loop_now(h) - began, limit);
		if (ms == 0 || spent == limit)
			return;
	}
}

/* Do what the phase says, and note how long it took. */
static void advance(struct tf_engine_handle *h, uint64_t limit)
{
	enum tf_phase phase = tf_engine_phase(h->engine);
	if (phase == TF_PHASE_WAITING)
		wait_for_arrivals(h, limit, h->advanced);
	tf_engine_advance(h->engine);
	double now = seconds_now();
	if (phase < TF_PHASE_ENDING)
		h->seconds[phase] += now - h->advanced;
	h->advanced = now;
	h->active_for = now - h->began;
}

static int begin(struct tf_engine_handle *h, struct tf_err *err)
{
	for (size_t i = 0; i < sizeof(h->seconds) / sizeof(h->seconds[0]); i++)
		h->seconds[i] = 0;
	h->began = h->advanced = seconds_now();
	h->active_for = 0;
	return tf_engine_begin(h->engine, err);
}

TF_RAISES static void enter(lua_State *L, struct tf_engine_handle *h)
{
	if (h->running)
		tf_bind_raise(L, "ExecutionFailure", "Engine currently locked, please try again later");
	h->running = true;
}

/* begin() -> true: the phase is RESUMING */
TF_RAISES static int turns_begin(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	enter(L, h);
	int rc = begin(h, &err);
	h->running = false;
	if (rc < 0)
		return tf_bind_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* phase() -> its name, or the flow's state at the end; "ending", "ended" or nil */
TF_RAISES static int turns_phase(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	enum tf_phase phase = tf_engine_phase(h->engine);
	lua_pushstring(L, tf_engine_phase_name(h->engine));
	if (phase < TF_PHASE_ENDING)
		return 1;
	lua_pushstring(L, phase == TF_PHASE_ENDING ? "ending" : "ended");
	return 2;
}

/* advance(seconds): does what the phase says; WAITING waits no longer than that */
TF_RAISES static int turns_advance(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	double seconds = luaL_checknumber(L, 2);
	uint64_t limit = seconds < 1e12 ? (uint64_t)ceil(seconds * 1000) : UINT64_MAX;
	enter(L, h);
	h->advanced = seconds_now(); /* what the caller did since is no phase's */
	advance(h, limit);
	tf_loop_turn(h->loop, false); /* requests leave now: nobody knows when the caller goes on */
	h->running = false;
	return 0;
}

enum tf_interruption tf_engine_handle_interruption(const struct tf_engine_handle *h)
{
	int signo = h->watched ? tf_interrupt_signal() : 0;
	return signo == SIGINT ? TF_CANCEL : signo ? TF_SUSPEND : TF_GO_ON;
}

/* A signal came: say so to the engine, which does not mind to hear it again. */
static void on_interrupt(void *arg)
{
	struct tf_engine_handle *h = arg;
	switch (tf_engine_handle_interruption(h)) {
	case TF_GO_ON:
		break;
	case TF_SUSPEND:
		tf_engine_suspend(h->engine);
		break;
	case TF_CANCEL:
		tf_engine_cancel(h->engine);
		break;
	}
}

static int run(struct tf_engine_handle *h, bool watch, struct tf_err *err)
{
	int rc = watch ? tf_interrupt_watch(h->loop, on_interrupt, h, err) : 0;
	if (rc < 0)
		return rc;
	h->watched = watch;
	rc = begin(h, err);
	while (rc == 0 && !tf_engine_finished(h->engine)) {
		/* A signal that came while a task ran here: before the next one starts. */
		on_interrupt(h);
		advance(h, UINT64_MAX);
	}
	if (watch)
		tf_interrupt_unwatch();
	h->watched = false;
	return rc;
}

/* run(watch signals, tick) -> state of the flow, signal that came or nil. tick: milliseconds between calls of the
 * handler of that name, 0 for none. */
TF_RAISES static int turns_run(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	bool watch = lua_toboolean(L, 2);
	uint64_t tick = (uint64_t)luaL_optnumber(L, 3, 0);
	struct tf_timer *timer = NULL;
	struct tf_err err;
	enter(L, h);
	h->tick_ms = tick;
	if (tick > 0) {
		timer = tf_timer_new(h->loop, tf_engine_handle_tick, h);
		tf_timer_start(timer, tick, tick);
	}
	int rc = run(h, watch, &err);
	tf_timer_delete(timer);
	h->running = false;
	if (rc < 0)
		return tf_bind_fail(L, &err);
	lua_pushstring(L, tf_state_name(tf_engine_flow_state(h->engine)));
	if (watch && tf_interrupt_signal())
		lua_pushinteger(L, tf_interrupt_signal());
	else
		lua_pushnil(L);
	return 2;
}

static void set_number(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

/* TaskFlow's statistics of the last run, into the table at the top. */
static void add_statistics(lua_State *L, const struct tf_engine_handle *h)
{
	const struct tf_engine_counts counts = tf_engine_counts(h->engine);
	set_number(L, "completed", (double)counts.completed);
	set_number(L, "discarded_failures", (double)counts.discarded_failures);
	set_number(L, "incomplete", (double)counts.incomplete);
	set_number(L, "awaiting", (double)counts.awaiting);
	set_number(L, "active_for", h->active_for);
	lua_newtable(L);
	set_number(L, "resuming", h->seconds[TF_PHASE_RESUMING]);
	set_number(L, "scheduling", h->seconds[TF_PHASE_SCHEDULING]);
	set_number(L, "waiting", h->seconds[TF_PHASE_WAITING]);
	set_number(L, "analyzing", h->seconds[TF_PHASE_ANALYZING]);
	lua_setfield(L, -2, "seconds_per_state");
}

/* Counters of the transport, into the table at the top. */
static void add_transport(lua_State *L, const struct tf_engine_handle *h)
{
	struct tf_wbe_stats s;
	tf_executor_wbe_stats(h->executor, &s);
	set_number(L, "malformed", (double)s.malformed);
	set_number(L, "stale", (double)s.stale);
	set_number(L, "lost", (double)s.lost);
	set_number(L, "timeouts", (double)s.timeouts);
	set_number(L, "resent", (double)s.resent);
	set_number(L, "seen", (double)s.seen);
	set_number(L, "workers", (double)s.workers);
	set_number(L, "in_flight", (double)s.in_flight);
}

/* stats() -> table */
TF_RAISES static int turns_stats(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	lua_newtable(L);
	if (h->gather && h->began > 0)
		add_statistics(L, h);
	if (h->worker_based)
		add_transport(L, h);
	return 1;
}

const struct luaL_Reg tf_engine_turns_methods[] = {
	{"begin", turns_begin},
	{"phase", turns_phase},
	{"advance", turns_advance},
	{"run", turns_run},
	{"stats", turns_stats},
	{"clock", turns_clock},
	{NULL, NULL},
};
