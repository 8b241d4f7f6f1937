# SPDX-License-Identifier: Apache-2.0
# Tests without a daemon: units, the simulation of the core, fuzzing. Included by the Makefile.
UNIT  := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
SEEDS ?= 1-8000
SEEDS_LONG ?= 1-400000
FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: unit sim sim-long fuzz
unit: $(UNIT) $(PLUGINS) # unit tests, cmocka
	@set -e; for t in $(UNIT); do OBJPOOL_PLUGINS=$(B)/plugins ./$$t; done

$(B)/tests/test_%: $(B)/tests/unit/test_%.o $(CLIENT) $(CORE) $(PROTO)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -rdynamic -o $@ $^ -lcmocka -lmsgpackc -lpthread -ldl -lm

# The worker's parts, and allocations that fail (tests/unit/failing.h).
$(B)/tests/test_worker: $(filter-out %/main.o,$(WORKER))
$(B)/tests/test_worker $(B)/tests/test_client: private LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc strdup strndup)

# The supervisor's, and a command's, own parts.
$(B)/tests/test_procfs: $(B)/daemon/supervisor/procfs.o
$(B)/tests/test_top: $(addprefix $(B)/client/cli/,top_model.o top_text.o top_view.o fields.o json_write.o ndarray.o base64.o)

# A process for each thousand seeds, as many at once as there are CPUs.
sim_of = seq $(firstword $(subst -, ,$(1))) 1000 $(lastword $(subst -, ,$(1))) | xargs -P $$(nproc) -I@ \
	sh -c 'last=$$((@ + 999)); [ $$last -le $(lastword $(subst -, ,$(1))) ] || last=$(lastword $(subst -, ,$(1))); ./$(B)/sim --seeds @-$$last'

sim: $(B)/sim # the core on virtual time, thousands of seeds (SEEDS=1-8000)
	$(call sim_of,$(SEEDS))

sim-long: $(B)/sim # the same, hundreds of thousands
	$(call sim_of,$(SEEDS_LONG))

$(B)/sim: $(call objs,tests/sim) $(CORE) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

# clang's libFuzzer; what it finds is kept in the corpus.
fuzz: # fuzz the scanner and the requests (clang; FUZZ_SECONDS=60 each)
	@sh scripts/deps.sh build lint
	@mkdir -p $(B)/fuzz
	@set -e; for f in $(FUZZERS); do \
		clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I. -o $(B)/fuzz/$$f tests/fuzz/fuzz_$$f.c \
			proto/*.c daemon/core/*.c -lmsgpackc; \
		mkdir -p $(B)/fuzz/corpus-$$f; \
		$(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 $(B)/fuzz/corpus-$$f tests/fuzz/corpus/$$f; \
	done
.SECONDARY:
