# SPDX-License-Identifier: Apache-2.0
# Measurements beside peers. Included by the Makefile.
BENCH := $(addprefix $(B)/bench/,load relay client small gearman nats stream turns pong waiters tls)
BENCH_LIBS_client := -Iclient/include $(B)/libobjpool.a $(MSGPACK_LIBS)
BENCH_LIBS_small := $(BENCH_LIBS_client)
BENCH_LIBS_tls := -lssl -lcrypto
BENCH_LIBS_gearman := -lgearman
BENCH_LIBS_nats := -lnats -lpthread

.PHONY: bench bench-quick bench-soak
bench: all # measure beside gearmand, NATS, Redis and the machine's floor; writes docs/BENCHMARKS.md
	@sh scripts/deps.sh build bench
	@$(MAKE) --no-print-directory -s $(BENCH)
	/usr/bin/python3 bench/run.py --build $(B) --markdown docs/BENCHMARKS.md

bench-quick: all # the same in a minute, roughly; writes nothing
	@sh scripts/deps.sh build bench
	@$(MAKE) --no-print-directory -s $(BENCH)
	/usr/bin/python3 bench/run.py --build $(B) --quick

SOAK_SECONDS = 60
bench-soak: all # a minute of all kinds of work; fails when the memory of a process grows
	@sh scripts/deps.sh build bench
	@$(MAKE) --no-print-directory -s $(BENCH)
	/usr/bin/python3 bench/run.py --build $(B) --soak $(SOAK_SECONDS)

$(B)/bench/%: bench/%.c bench/bench.h bench/multi.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -I. -o $@ $< $(BENCH_LIBS_$*)

$(addprefix $(B)/bench/,stream turns pong waiters): bench/wire.h
$(addprefix $(B)/bench/,client small): $(B)/libobjpool.a

# The peers of Python's are from PyPI, in an environment of their own. make bench-python BENCH_PYTHON=--quick: in a minute, nothing written
PEERS := $(B)/bench/python-peers
BENCH_PYTHON = --markdown docs/BENCHMARKS.md

.PHONY: bench-python
bench-python: all $(PEERS)/installed # objpool's Python client beside other pools; writes docs/BENCHMARKS.md, Python
	@sh scripts/deps.sh build test bench-python
	@/usr/bin/python3 -m compileall -q client/python/objpool bench/python # as pip has done with the others
	/usr/bin/python3 bench/python/run.py --build $(B) --venv $(PEERS) $(BENCH_PYTHON)

.PHONY: bench-locks
bench-locks: all # locks and queues of objpool.compat.multiprocess beside the standard library's
	OBJPOOL_BIN=$(B) /usr/bin/python3 bench/python/locks.py

.PHONY: bench-page
bench-page: all # what the page for people costs the daemon: 100 pools of 64 threads, three viewers; two minutes
	/usr/bin/python3 bench/viewers.py $(B)

.PHONY: bench-managers
bench-managers: all # managers of objpool.compat.multiprocess beside the standard library's
	OBJPOOL_BIN=$(B) /usr/bin/python3 bench/python/managers.py

# make bench-cluster BENCH_CLUSTER=--quick: nothing is written
CLUSTER_PEERS := $(B)/bench/cluster-peers
BENCH_CLUSTER = --markdown docs/BENCHMARKS.md

.PHONY: bench-cluster
bench-cluster: all $(CLUSTER_PEERS)/installed # calls between hosts beside NATS, Dask, Ray and TCP; writes docs/BENCHMARKS.md, Several machines
	@sh scripts/deps.sh build bench
	@$(MAKE) --no-print-directory -s $(BENCH)
	/usr/bin/python3 bench/cluster.py --build $(B) --peers $(CLUSTER_PEERS) $(BENCH_CLUSTER)

$(PEERS)/installed: bench/python/requirements.txt
$(CLUSTER_PEERS)/installed: bench/cluster-peers.txt
$(PEERS)/installed $(CLUSTER_PEERS)/installed:
	@sh scripts/deps.sh bench-python
	/usr/bin/python3 -m venv --clear --system-site-packages $(@D)
	@grep -v '^#' $< | while read -r package; do \
		$(@D)/bin/python -m pip install -q "$$package" || echo "not installed: $$package" >&2; done
	@touch $@
