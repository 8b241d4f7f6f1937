# SPDX-License-Identifier: Apache-2.0
# Tests without a daemon: units, the simulation of the core, fuzzing. Included by the Makefile.
UNIT  := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
SEEDS ?= 1-8000
SEEDS_LONG ?= 1-400000
FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: tests unit check-unit sim gateway-sim sim-long fuzz compat-stdlib check-vm check-valgrind check-cluster cluster-chaos
tests: $(UNIT) $(FUZZERS:%=$(B)/tests/fuzz-%) $(B)/sim $(B)/gateway-sim

unit: $(UNIT) $(PLUGINS) $(FUZZERS:%=$(B)/tests/fuzz-%) # unit tests, cmocka, and the fuzzers' corpora
	@set -e; for t in $(UNIT); do OBJPOOL_PLUGINS=$(B)/plugins ./$$t; done
	@set -e; for f in $(FUZZERS); do $(B)/tests/fuzz-$$f tests/fuzz/corpus/$$f/*; done
check-unit: unit # the same: no daemon is started

# Optimization over all files would take longer for each than all their tests.
$(B)/tests/test_%: $(B)/tests/unit/test_%.o $(CLIENT) $(CORE) $(PROTO)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fno-lto -rdynamic -o $@ $^ -lcmocka $(MSGPACK_LIBS) $(LIBS_$*) -lpthread -ldl -lm

# The gateway's core has names of the daemon's core.
$(B)/tests/test_gateway_%: $(B)/tests/unit/test_gateway_%.o $(GATEWAY_CORE) $(PROTO)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fno-lto -o $@ $^ -lcmocka -levent_core -lm

# cmocka 2 has new names for assertions, which cmocka 1 does not know.
$(B)/tests/unit/%.o: private OWN_FLAGS += -Wno-deprecated-declarations

# The worker's parts, and allocations that fail (tests/unit/failing.h).
$(B)/tests/test_worker: $(filter-out %/main.o,$(WORKER))
WITHOUT_MEMORY := $(addprefix $(B)/tests/test_,worker client_memory client_direct core_memory gateway_memory)
$(WITHOUT_MEMORY): private OWN_LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc strdup strndup)

$(B)/tests/test_gateway_memory: private OWN_LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=gateway_%,on_supervisor on_packet on_beat run end_turn)

$(B)/tests/test_signature: $(call objs,daemon/worker/types)

# A gateway in the hands of a test.
$(addprefix $(B)/tests/test_gateway_,wires calls joint service memory): $(B)/tests/unit/gateway_bench.o $(call objs,gateway/service) $(JSON)

# The server of the client's tests.
$(filter $(B)/tests/test_client_%,$(UNIT)): $(B)/tests/unit/client_server.o

# The supervisor's, and a command's, own parts.
$(B)/tests/test_awake: $(B)/daemon/worker/awake.o
$(B)/tests/test_cage: $(CAGE)
LIBS_cage := $(LIBS_OF_seccomp)
$(B)/tests/test_cgroup: $(B)/daemon/supervisor/base/cgroup.o $(B)/daemon/supervisor/base/procfs.o
$(B)/tests/test_cgroup: private OWN_LDFLAGS += -Wl,--wrap=rmdir
$(B)/tests/test_rings: private OWN_LDFLAGS += -Wl,--wrap=mmap,--wrap=mmap64
$(B)/tests/test_history: $(addprefix $(B)/daemon/supervisor/,view/history.o log/log_recent.o)
$(B)/tests/test_happened: $(addprefix $(B)/daemon/supervisor/,view/events.o log/happened.o base/packtext.o)
$(B)/tests/test_procfs: $(B)/daemon/supervisor/base/procfs.o
$(B)/tests/test_accept: $(B)/daemon/supervisor/http/accept.o
$(B)/tests/test_json: $(JSON)
LIBS_json := -levent_core
LIBS_words := $(CLI_LIBS)
$(B)/tests/test_closer: $(B)/daemon/supervisor/base/closer.o
$(B)/tests/test_intake: $(addprefix $(B)/daemon/supervisor/,transport/intake.o transport/socket.o base/closer.o)
$(B)/tests/test_transport: $(filter-out %/main.o,$(SUPER)) $(JSON)
LIBS_transport := $(DAEMON_LIBS)
$(B)/tests/test_socketfile: $(filter-out %/main.o,$(SUPER)) $(JSON)
LIBS_socketfile := $(DAEMON_LIBS)
$(B)/tests/test_spawn: $(B)/daemon/supervisor/base/spawn.o $(B)/daemon/supervisor/config/paths.o
$(B)/tests/test_unclaimed: $(B)/daemon/supervisor/base/unclaimed.o
$(B)/tests/test_nats_advisory: $(B)/gateway/bus/nats_advisory.o $(JSON)
LIBS_nats_advisory := -levent_core
$(B)/tests/test_top: $(addprefix $(B)/cli/,top_model.o top_text.o top_trend.o top_view.o fields.o shown.o json_write.o ndarray.o base64.o)

# Tests of libobjpool: of its parts, and programs against a daemon, which itself does not run under valgrind.
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --fair-sched=yes
CLIENT_UNIT := $(filter $(B)/tests/test_client_%,$(UNIT))
CLIENT_TESTS := tests/wire/test_c_client.py tests/abi/test_abi.py $(addprefix tests/integration/test_,client_direct.py \
	client_payloads.py client_streams.py tls_clients.py man3.py)
check-valgrind: all $(CLIENT_UNIT) # libobjpool's tests under valgrind (some minutes)
	@sh scripts/deps.sh build test valgrind
	@set -e; for t in $(CLIENT_UNIT); do $(VALGRIND) ./$$t; done
	OBJPOOL_BUILD=$(B) OBJPOOL_UNDER='$(VALGRIND)' OBJPOOL_TEST_DEADLINE=200 $(PYTEST) $(CLIENT_TESTS)

check-vm: all $(B)/tests/test_cage # cages on Debian 12's own kernel, in a virtual machine (qemu; some minutes without KVM)
	@sh scripts/deps.sh vm
	@sh tests/vm/check.sh $(B)

MATRIX_ROUNDS ?= 3
check-cluster: all # clusters: failures of every kind under calls of every kind, and the table (some minutes; MATRIX_ROUNDS=3)
	OBJPOOL_BUILD=$(B) OBJPOOL_MATRIX_ROUNDS=$(MATRIX_ROUNDS) /usr/bin/python3 -m pytest -q -p no:cacheprovider \
		tests/integration/test_cluster_hosts.py tests/integration/test_cluster_matrix.py

CHAOS ?= --calls 1000000 --failures 200
cluster-chaos: all # clusters: calls of every kind while hosts, gateways and servers are killed (CHAOS='--calls N --seed S')
	OBJPOOL_BUILD=$(B) /usr/bin/python3 tests/cluster_chaos.py $(CHAOS)

# A process for each thousand seeds, as many at once as there are CPUs.
sim_of = seq $(firstword $(subst -, ,$(1))) 1000 $(lastword $(subst -, ,$(1))) | xargs -P $$(nproc) -I@ \
	sh -c 'last=$$((@ + 999)); [ $$last -le $(lastword $(subst -, ,$(1))) ] || last=$(lastword $(subst -, ,$(1))); ./$(B)/sim --seeds @-$$last'

sim: $(B)/sim # the core on virtual time, thousands of seeds (SEEDS=1-8000)
	$(call sim_of,$(SEEDS))

sim-long: $(B)/sim # the same, hundreds of thousands
	$(call sim_of,$(SEEDS_LONG))

# faults.c stands in the place of these: it lets allocations of the core fail.
WRAPPED := malloc calloc realloc strdup strndup
$(B)/tests/sim/faults.o: LTO :=
$(B)/sim: $(call objs,tests/sim) $(CORE) $(PROTO)
	$(CC) $(ALL_LDFLAGS) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $^

# Gateways of several hosts, on a bus that loses, doubles, delays and parts.
GATEWAY_SEEDS ?= 1-2000
gateway-sim: $(B)/gateway-sim # gateways on virtual time, thousands of seeds (GATEWAY_SEEDS=1-2000)
	$(subst $(B)/sim,$(B)/gateway-sim,$(call sim_of,$(GATEWAY_SEEDS)))

$(B)/gateway-sim: $(call objs,tests/gateway_sim) $(GATEWAY_CORE) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

# What a fuzz target needs beside proto/.
FUZZ_SUPER = $(filter-out daemon/supervisor/main.c,$(wildcard daemon/supervisor/*.c daemon/supervisor/*/*.c)) $(wildcard daemon/core/*/*.c json/*.c)
FUZZ_SUPER_LIBS = $(DAEMON_LIBS) $(MSGPACK_LIBS)
FUZZ_PARTS_scan =
FUZZ_PARTS_request = $(wildcard daemon/core/*/*.c)
FUZZ_PARTS_worker = $(FUZZ_PARTS_request)
FUZZ_PARTS_gateway = $(wildcard gateway/core/*.c) daemon/core/base/error.c daemon/core/base/idmap.c daemon/core/records/target.c
FUZZ_PARTS_service = $(FUZZ_PARTS_gateway) $(wildcard gateway/service/*.c json/*.c) daemon/core/base/error_status.c
FUZZ_PARTS_direct = $(filter-out daemon/worker/main.c,$(wildcard daemon/worker/*.c daemon/worker/types/*.c))
FUZZ_PARTS_signature = $(wildcard daemon/worker/types/*.c)
FUZZ_PARTS_config = $(FUZZ_SUPER)
FUZZ_PARTS_http = $(FUZZ_SUPER)
FUZZ_PARTS_rights = $(FUZZ_SUPER)
FUZZ_PARTS_tls = $(FUZZ_SUPER)
FUZZ_PARTS_json = json/from_json.c json/to_json.c
FUZZ_PARTS_reply = $(filter-out %/example.c cli/main.c $(LEFT_OUT),$(wildcard client/c/*.c cli/*.c cli/generate/*.c))
FUZZ_LIBS_scan = $(MSGPACK_LIBS)
FUZZ_LIBS_request = $(MSGPACK_LIBS)
FUZZ_LIBS_worker = $(MSGPACK_LIBS)
FUZZ_LIBS_gateway = $(MSGPACK_LIBS)
FUZZ_LIBS_service = $(MSGPACK_LIBS) -levent_core -lm
FUZZ_LIBS_direct = $(MSGPACK_LIBS) -lpthread -ldl
FUZZ_LIBS_signature = $(MSGPACK_LIBS)
FUZZ_LIBS_config = $(FUZZ_SUPER_LIBS)
FUZZ_LIBS_http = $(FUZZ_SUPER_LIBS)
FUZZ_LIBS_rights = $(FUZZ_SUPER_LIBS)
FUZZ_LIBS_tls = $(FUZZ_SUPER_LIBS)
FUZZ_LIBS_reply = $(CLI_LIBS) $(MSGPACK_LIBS) $(LIBS_OF_curses) -lm
FUZZ_LIBS_json = -levent_core -lm

# The targets without a fuzzer, for what has been found.
fuzz_objs = $(patsubst %.c,$(B)/%.o,$(FUZZ_PARTS_$(1)))
.SECONDEXPANSION:
$(B)/tests/fuzz-%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/files.o $$(call fuzz_objs,$$*) $(PROTO)
	@mkdir -p $(@D)
	$(CC) $(OWN_LDFLAGS) $(LDFLAGS) $(SAN) -fno-lto -Wl,--as-needed -o $@ $^ $(FUZZ_LIBS_$*)

# clang's libFuzzer; what it finds is kept in the corpus.
fuzz: # fuzz all that strangers say: FUZZERS="scan request worker gateway service direct config rights reply http tls json signature" (clang; FUZZ_SECONDS=60 each)
	@sh scripts/deps.sh build lint
	@set -e; for f in $(FUZZERS); do \
		$(MAKE) --no-print-directory -s LTO= $(B)/fuzz/$$f; \
		mkdir -p $(B)/fuzz/corpus-$$f; \
		for hex in tests/fuzz/corpus/$$f/*.hex; do [ ! -e "$$hex" ] || python3 -c \
			'import sys; sys.stdout.buffer.write(bytes.fromhex(open(sys.argv[1]).read()))' \
			"$$hex" > $(B)/fuzz/corpus-$$f/$$(basename "$$hex" .hex); done; \
		$(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 $(B)/fuzz/corpus-$$f tests/fuzz/corpus/$$f; \
	done

FUZZ_CC = clang $(filter-out -MMD -MP $(HARDEN),$(ALL_CFLAGS)) -I$(B)/generated $(PATH_FLAGS) $(CHANNEL_FLAGS) -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
$(B)/fuzz/%: tests/fuzz/fuzz_%.c $$(FUZZ_PARTS_$$*) $(wildcard proto/*.[ch])
	@mkdir -p $(@D)
	$(FUZZ_CC) -o $@ $(filter %.c,$^) $(FUZZ_LIBS_$*)
.SECONDARY:

compat-stdlib: all # the standard library's tests of multiprocessing, on compat and on the original (TESTS='--methods fork')
	OBJPOOL_BIN=$(abspath $(B)) /usr/bin/python3 tests/compat_stdlib/run.py $(TESTS)
