# tfhost: build, checks and tests. `make help` lists the targets.
#
# B is the build directory; the sanitized builds are the same rules with another B and CFLAGS.

B ?= build
CC ?= gcc
PREFIX ?= /usr/local
PKGS = luajit librabbitmq json-c libuv sqlite3
# Packages that only tests need are asked for by the test rules, not here.
WARN = -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla
OPT ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -Ihost -I$(B)/gen $(shell pkg-config --cflags luajit librabbitmq libuv)
ALL_CFLAGS = -std=c11 $(WARN) $(OPT) -MMD -MP $(CFLAGS)
# Scripts load C modules (cjson) that look for Lua's symbols in the program: -rdynamic.
LDLIBS = $(shell pkg-config --libs luajit librabbitmq libuv) -lpthread -lm -ldl
ALL_LDFLAGS = -rdynamic $(LDFLAGS)

LAYERS = base loop transport protocol persistence engine pool wbe script cmd
SRC = $(wildcard $(LAYERS:%=host/%/*.c))
OBJ = $(SRC:host/%.c=$(B)/obj/%.o)
LUA_LIB = $(shell find lua -name '*.lua' | LC_ALL=C sort)
TESTS = $(patsubst host/test/%.c,%,$(wildcard host/test/test_*.c))

.PHONY: all
all: $(B)/tfhost

$(B)/tfhost: $(B)/obj/main.o $(B)/libtfhost.a
	$(CC) $(OPT) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $(B)/obj/main.o -Wl,--whole-archive $(B)/libtfhost.a -Wl,--no-whole-archive $(LDLIBS)

$(B)/libtfhost.a: $(OBJ) $(B)/obj/gen/lua_embed.o
	rm -f $@
	ar rcs $@ $^

$(B)/obj/%.o: host/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# The Lua library, as bytecode that keeps parameter names.
$(B)/gen/lua_embed.c: host/script/embed.lua $(LUA_LIB)
	@mkdir -p $(@D)
	luajit host/script/embed.lua lua $(LUA_LIB) > $@.tmp
	mv $@.tmp $@

# C unit tests: one program a file, host/test/test_<module>.c. Shared helpers: the other .c files there.
TEST_HELP = $(patsubst host/test/%.c,$(B)/obj/test/%.o,$(filter-out host/test/test_%.c,$(wildcard host/test/*.c)))
$(B)/test/%: $(B)/obj/test/%.o $(TEST_HELP) $(B)/libtfhost.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(TEST_HELP) $(B)/libtfhost.a $(LDLIBS) -lcmocka -ljson-c

.PHONY: check-c
check-c: $(TESTS:%=$(B)/test/%)
	@set -e; for t in $^; do echo "== $$t"; $$t; done

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
