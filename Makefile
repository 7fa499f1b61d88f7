# tfhost: build, checks and tests. `make help` lists the targets.
#
# B is the build directory; the sanitized builds are the same rules with another B and CFLAGS.
# Packages are named in .ci/setup, and nowhere else.

B ?= build
CC = gcc
PREFIX ?= /usr/local
OPT ?= -O2 -g
WARN = -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla
# Asked for once, and only by a recipe: on a fresh machine pkg-config arrives with the first one.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags luajit librabbitmq libuv sqlite3 libpq))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs luajit librabbitmq libuv sqlite3))$(PKG_LIBS)
CPPFLAGS += -D_GNU_SOURCE -Ihost -I$(B)/gen
ALL_CFLAGS = -std=c11 $(WARN) $(OPT) -MMD -MP $(CFLAGS)
LDLIBS = $(PKG_LIBS) -lpthread -lm -ldl
# Scripts load C modules (cjson) that look for Lua's symbols in the program: -rdynamic.
ALL_LDFLAGS = -rdynamic $(LDFLAGS)

LAYERS = base loop control transport protocol persistence engine pool wbe script cmd
SRC = $(wildcard $(LAYERS:%=host/%/*.c))
OBJ = $(SRC:host/%.c=$(B)/obj/%.o)
# lua/meta tells language servers of modules that are written in C.
LUA_LIB = $(shell find lua -name '*.lua' -not -path 'lua/meta/*' | LC_ALL=C sort)
LUA_META = $(shell find lua/meta -name '*.lua')
TESTS = $(patsubst host/test/%.c,%,$(wildcard host/test/test_*.c))
FORMATTED = $(wildcard host/*.[ch] host/*/*.[ch] spec/support/*.c)
TIDIED = $(SRC) host/main.c

.PHONY: all
all: $(B)/tfhost ## build/tfhost, optimised, warnings as errors (CC=clang works too)

$(B)/tfhost: $(B)/obj/main.o $(B)/libtfhost.a
	$(CC) $(OPT) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $(B)/obj/main.o -Wl,--whole-archive $(B)/libtfhost.a -Wl,--no-whole-archive $(LDLIBS)

$(B)/libtfhost.a: $(OBJ) $(B)/obj/gen/lua_embed.o
	rm -f $@
	ar rcs $@ $^

$(B)/obj/%.o: host/%.c $(B)/.toolchain | $(B)/.packages
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/.toolchain | $(B)/.packages
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# The Lua library, as bytecode that keeps parameter names.
$(B)/gen/lua_embed.c: host/script/embed.lua $(LUA_LIB) | $(B)/.packages
	@mkdir -p $(@D)
	luajit host/script/embed.lua lua $(LUA_LIB) > $@.tmp
	mv $@.tmp $@

# The build packages are there: checked once a build directory.
$(B)/.packages: .ci/setup
	@mkdir -p $(@D)
	@.ci/setup build
	@touch $@

# Another compiler or other flags rebuild everything.
$(B)/.toolchain: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(OPT) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(OPT) $(CFLAGS) $(LDFLAGS)' > $@
.PHONY: FORCE
FORCE:

# C unit tests: one program a file, host/test/test_<module>.c. Shared helpers: the other .c files there.
TEST_HELP = $(patsubst host/test/%.c,$(B)/obj/test/%.o,$(filter-out host/test/test_%.c,$(wildcard host/test/*.c)))
$(B)/test/%: $(B)/obj/test/%.o $(TEST_HELP) $(B)/libtfhost.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(TEST_HELP) $(B)/libtfhost.a $(LDLIBS) -lcmocka -ljson-c

.PHONY: tests-c
tests-c: $(TESTS:%=$(B)/test/%)

# What specs start beside the host.
$(B)/fault_proxy: spec/support/fault_proxy.c $(B)/obj/test/tcp_proxy.o $(B)/libtfhost.a
	$(CC) $(CPPFLAGS) -Ihost/test $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(B)/obj/test/tcp_proxy.o $(B)/libtfhost.a $(LDLIBS)

.PHONY: spec-programs
spec-programs: $(B)/fault_proxy

.PHONY: setup
setup: ## check the Debian packages of build and tests, install what is missing when run as root
	@.ci/setup build test

# ---- checks -----------------------------------------------------------------------------------

.PHONY: test
test: ## everything: build, checks, C tests, short fuzzing, Lua specs, interop; own RabbitMQ node
	@.ci/setup build test
	@.ci/test B=$(B) build deps lint instructions fuzz sanitized-c c lua e2e

.PHONY: test-sanitized
test-sanitized: ## the whole suite under ASan and UBSan, and the C tests under Valgrind
	@.ci/setup build test
	@.ci/test B=build/san build c lua e2e valgrind

.PHONY: check-c
check-c: ## C unit tests
	@.ci/test B=$(B) c

AMQP_TESTS = $(patsubst host/test/%.c,$(B)/test/%,$(wildcard host/test/test_amqp*.c))

.PHONY: check-amqp
check-amqp: $(AMQP_TESTS) ## the C tests of the amqp transport, with a private broker
	@spec/support/rabbitmq run sh -ec 'for t; do $$t; done' sh $(AMQP_TESTS)

.PHONY: check-lua
check-lua: ## Lua specs, inside the host
	@.ci/test B=$(B) build lua

.PHONY: check-e2e
check-e2e: ## specs that start real processes: interop with Python TaskFlow, faults, bad input
	@.ci/test B=$(B) build e2e

.PHONY: reload-soak
reload-soak: all ## 1,000 reloads under load on RabbitMQ and on a directory; shows how long they take
	@.ci/setup build test
	@TFHOST_RELOADS=1000 TFHOST=$(CURDIR)/$(B)/tfhost spec/support/rabbitmq run \
		$(B)/tfhost lua spec/run.lua spec/e2e/reload_soak_spec.lua

.PHONY: deps
deps: ## prove the include rules of the layers
	@.ci/deps

.PHONY: lint
lint: lint-lua lint-rock lint-format lint-tidy ## luacheck, luarocks lint, clang-format, clang-tidy

.PHONY: lint-lua
lint-lua:
	.ci/annotations $(LUA_LIB) $(LUA_META)
	luacheck -q $(wildcard lua flows tasks spec doc .ci/deps .ci/annotations host/script/embed.lua host/bench/*.lua)

.PHONY: lint-rock
lint-rock:
	luarocks lint $(wildcard rocks/*.rockspec)

.PHONY: lint-format
lint-format:
	clang-format --dry-run -Werror $(FORMATTED)

# One stamp a file, so that only what changed is looked at again.
.PHONY: lint-tidy
lint-tidy: $(TIDIED:host/%.c=$(B)/tidy/%.ok)
$(B)/tidy/%.ok: host/%.c .clang-tidy $(wildcard host/*/*.h)
	@mkdir -p $(@D)
	clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c11 -Wall -Wextra $(CPPFLAGS) $(PKG_CFLAGS)
	@touch $@

# A finding aborts the program that has it: it can not be missed.
ASAN = -fsanitize=address -fno-omit-frame-pointer
UBSAN = -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZED = $(MAKE) --no-print-directory OPT='-O1 -g'

.PHONY: asan
asan: ## C unit tests under AddressSanitizer (build/asan)
	@.ci/test B=build/asan build c

.PHONY: ubsan
ubsan: ## C unit tests under UndefinedBehaviorSanitizer (build/ubsan)
	@.ci/test B=build/ubsan build c

# What .ci/test builds with: B picks the flags.
.PHONY: in-asan in-ubsan in-san
in-asan:
	@$(SANITIZED) B=build/asan CFLAGS='$(ASAN)' $(GOALS)
in-ubsan:
	@$(SANITIZED) B=build/ubsan CFLAGS='$(UBSAN)' $(GOALS)
in-san:
	@$(SANITIZED) B=build/san CFLAGS='$(ASAN) $(UBSAN)' $(GOALS)

.PHONY: valgrind
valgrind: ## C unit tests under Valgrind
	@.ci/test B=$(B) valgrind

# ---- fuzz -------------------------------------------------------------------------------------

# Every decoder of foreign bytes has host/fuzz/fuzz_<name>.c and seeds in host/fuzz/seeds/<name>.
# All of the host is compiled again, by clang, below $(B)/fuzz. What the fuzzers find out stays
# there; an input that crashes one is $(B)/fuzz/<kind>-<hash>: fix it and make it a seed.
FUZZ_SECONDS ?= 60
FUZZERS = $(patsubst host/fuzz/fuzz_%.c,%,$(wildcard host/fuzz/fuzz_*.c))
FUZZ_BUILD = $(MAKE) --no-print-directory B=$(B)/fuzz CC=clang OPT='-O1 -g' \
	CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
$(B)/fuzz_%: $(B)/obj/fuzz/fuzz_%.o $(B)/libtfhost.a
	$(CC) $(OPT) $(CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $< $(B)/libtfhost.a $(LDLIBS)

.PHONY: fuzzers
fuzzers: $(FUZZERS:%=$(B)/fuzz_%)

# $(call fuzz_each,options): every fuzzer in turn; a log is shown only if its fuzzer found something.
fuzz_each = @for name in $(FUZZERS); do \
		f=$(B)/fuzz/fuzz_$$name; \
		mkdir -p $$f.corpus; \
		if $$f $(1) -timeout=10 -rss_limit_mb=1024 -artifact_prefix=$(B)/fuzz/ \
			$$f.corpus host/fuzz/seeds/$$name >$$f.log 2>&1; \
		then echo "fuzz_$$name: $$(tail -n 1 $$f.log)"; \
		else tail -n 60 $$f.log; echo "fuzz_$$name: FOUND SOMETHING, see $$f.log"; exit 1; fi; \
	done

.PHONY: fuzz
fuzz: ## every fuzzer for FUZZ_SECONDS (60), on its seeds and what it learnt before
	+@$(FUZZ_BUILD) fuzzers
	$(call fuzz_each,-max_total_time=$(FUZZ_SECONDS))

.PHONY: fuzz-short
fuzz-short: ## every fuzzer for 3 seconds, from its seeds and always the same random numbers
	+@$(FUZZ_BUILD) fuzzers
	@rm -rf $(FUZZERS:%=$(B)/fuzz/fuzz_%.corpus)
	$(call fuzz_each,-seed=1 -max_total_time=3)

# ---- use --------------------------------------------------------------------------------------

.PHONY: demo
demo: all ## a worker and a flow over a directory: what the main job looks like
	@doc/demo/run $(B)/tfhost

.PHONY: bench
bench: all bench-programs ## time, memory, ratios beside Python TaskFlow and bare rabbitmq-c; ONLY="chain start" for some
	@.ci/setup build test
	@spec/support/rabbitmq run $(B)/tfhost lua host/bench/run.lua $(B) $(ONLY)

ALL_ENGINES = serial,parallel,worker-based
.PHONY: conformance
conformance: all ## FLOWS (5,000) random flows on each engine and in Python TaskFlow: any difference fails; SEED= repeats
	@.ci/setup build test
	@TFHOST=$(CURDIR)/$(B)/tfhost /usr/bin/python3 spec/conformance/conformance.py --seed "$(SEED)" \
		--flows $(or $(FLOWS),5000) --first $(or $(FIRST),0) --engines $(or $(ENGINES),$(ALL_ENGINES))

CHAOS_SECONDS ?= 600
CHAOS_SEED ?= 1
.PHONY: chaos
chaos: all ## flows under random kills for CHAOS_SECONDS (600), beside Python TaskFlow: what is lost, what hangs
	@.ci/setup build test
	@$(B)/tfhost lua spec/chaos/run.lua $(CHAOS_SECONDS) $(CHAOS_SEED)

# One topology takes about BROKER_KILLS * 8 seconds, nearly all of it the start of the broker.
BROKER_KILLS ?= 500
TOPOLOGY ?= compat durable quorum
.PHONY: broker-kills
broker-kills: all ## the broker goes down BROKER_KILLS (500) times under three flows, for each TOPOLOGY="compat durable quorum"
	@.ci/setup build test
	@TFHOST_BROKER_KILLS=$(BROKER_KILLS) TFHOST_TOPOLOGY="$(TOPOLOGY)" $(B)/tfhost lua spec/run.lua spec/e2e/broker_restart_spec.lua

SOAK_SECONDS ?= 1800
SOAK_SEED ?= 1
.PHONY: soak
soak: all ## everything at once for SOAK_SECONDS (1800): fails if memory or descriptors grow, or anything is left over
	@.ci/setup build test
	@TFHOST=$(CURDIR)/$(B)/tfhost spec/support/rabbitmq run $(B)/tfhost lua spec/soak/run.lua $(SOAK_SECONDS) $(SOAK_SEED)

.PHONY: bench-programs
bench-programs: $(B)/bench/raw_amqp $(B)/bench/persist

.PHONY: bench-persist
bench-persist: $(B)/bench/persist ## what a logbook costs: 100,000 atoms; commits a second beside bare SQLite; a PostgreSQL server
	@.ci/setup build test
	@d=$$(mktemp -d $(B)/bench/persist.XXXXXX) && $< $$d && rm -r $$d
	@PG_FSYNC=1 spec/support/postgresql run sh -c '$< $$TFHOST_TEST_POSTGRESQL_URL'

# Judged with one compiler and its optimisation, whatever the rest is built with.
.PHONY: instructions instructions-renew
instructions: ## fail if a hot path costs 20% more instructions than host/bench/instructions says
	@$(MAKE) --no-print-directory -s B=build/instructions CC=gcc OPT='-O2 -g' CFLAGS= LDFLAGS= build/instructions/bench/hot_paths
	@.ci/instructions build/instructions/bench/hot_paths
instructions-renew: ## write what they cost now into host/bench/instructions
	@$(MAKE) --no-print-directory -s B=build/instructions CC=gcc OPT='-O2 -g' CFLAGS= LDFLAGS= build/instructions/bench/hot_paths
	@.ci/instructions build/instructions/bench/hot_paths renew

$(B)/bench/%: $(B)/obj/bench/%.o $(B)/libtfhost.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(B)/libtfhost.a $(LDLIBS)

# ---- install ----------------------------------------------------------------------------------

# Made from --help of the commands, so they cannot lag behind them.
MANUAL = $(B)/manual/tfhost.1 $(B)/manual/tfhost.bash $(B)/manual/tfhost.zsh
$(B)/manual/tfhost.%: doc/manual/generate.lua doc/manual/tfhost.1.in $(B)/tfhost
	@mkdir -p $(@D)
	$(B)/tfhost lua doc/manual/generate.lua $* $(B)/tfhost >$@

.PHONY: manual
manual: $(MANUAL) ## the manual page and completions of bash and zsh, in build/manual

.PHONY: reference
reference: ## doc/reference.md, from the annotations in lua/taskflow
	luajit doc/manual/reference.lua >doc/reference.md.tmp && mv doc/reference.md.tmp doc/reference.md

BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
UNITDIR = $(PREFIX)/lib/systemd/system
ZSHDIR = $(DATADIR)/zsh/site-functions
DOCDIR = $(DATADIR)/doc/tfhost
TEXTS = README.md CHANGELOG.md CONTRIBUTING.md LICENSE $(wildcard doc/*.md)

# install_tree,DIR,FILES,TO: files of DIR, at the same place below TO.
install_tree = for f in $(2); do install -D -m 644 "$(1)/$$f" "$(DESTDIR)$(3)/$$f" || exit 1; done

.PHONY: install
install: all $(MANUAL) ## below PREFIX (and DESTDIR): the binary, manual page, completions, units, documents, examples
	install -D -m 755 $(B)/tfhost $(DESTDIR)$(BINDIR)/tfhost
	install -D -m 644 $(B)/manual/tfhost.1 $(DESTDIR)$(DATADIR)/man/man1/tfhost.1
	install -D -m 644 $(B)/manual/tfhost.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/tfhost
	install -D -m 644 $(B)/manual/tfhost.zsh $(DESTDIR)$(ZSHDIR)/_tfhost
	install -d $(DESTDIR)$(UNITDIR)
	for unit in worker resume; do \
		sed 's|@BINDIR@|$(BINDIR)|' doc/systemd/tfhost-$$unit@.service >$(DESTDIR)$(UNITDIR)/tfhost-$$unit@.service && \
		chmod 644 $(DESTDIR)$(UNITDIR)/tfhost-$$unit@.service || exit 1; \
	done
	@# The library is in the binary; this one is for language servers, which read its annotations.
	@$(call install_tree,lua,$(LUA_LIB:lua/%=%) $(LUA_META:lua/%=%),$(DATADIR)/tfhost/lua)
	@# As they lie here, for they are linked to each other.
	@$(call install_tree,.,$(TEXTS),$(DOCDIR))
	@$(call install_tree,doc,$(patsubst doc/%,%,$(wildcard doc/demo/*.lua)),$(DOCDIR))
	install -D -m 755 doc/demo/run $(DESTDIR)$(DOCDIR)/demo/run
	@$(call install_tree,.,$(shell find flows tasks -name '*.lua' -o -name '*.py'),$(DOCDIR)/examples)

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/tfhost $(DESTDIR)$(DATADIR)/man/man1/tfhost.1 \
		$(DESTDIR)$(DATADIR)/bash-completion/completions/tfhost $(DESTDIR)$(ZSHDIR)/_tfhost \
		$(DESTDIR)$(UNITDIR)/tfhost-worker@.service $(DESTDIR)$(UNITDIR)/tfhost-resume@.service
	rm -rf $(DESTDIR)$(DATADIR)/tfhost $(DESTDIR)$(DOCDIR)

.PHONY: deb
deb: all $(MANUAL) ## a Debian package, build/tfhost_VERSION_ARCH.deb
	@.ci/setup build package
	@.ci/deb $(B)

.PHONY: check-deb
check-deb: deb ## install it in a clean Debian 12 (mmdebstrap), run the demo there, show the manual page
	@.ci/check-deb $(B)/tfhost_*_$$(dpkg --print-architecture).deb

.PHONY: dist
dist: all ## the sources of the last commit: build/tfhost-VERSION.tar.gz
	@v=tfhost-$$($(B)/tfhost --version | cut -d' ' -f2) && \
	git archive --format=tar.gz --prefix=$$v/ -o $(B)/$$v.tar.gz HEAD && echo $(B)/$$v.tar.gz

.PHONY: clean
clean: ## remove the build directory
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
.DELETE_ON_ERROR:
