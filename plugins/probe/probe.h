/* SPDX-License-Identifier: Apache-2.0 */
/* probe: one instance of class Probe, and its functions, which tables.c puts into tables. */
#ifndef PROBE_H
#define PROBE_H

#include <objpool/plugin.h>

#define ALLOCATE_MAX (UINT64_C(64) << 30) /* bytes that one Probe may be told to take */

typedef const struct objpool_args probe_args;

/* Values one after the other, packed. */
struct series {
	msgpack_sbuffer packed;
	uint32_t count;
};

/* Memory that allocate() took: a chain, freed as a whole. */
struct chunk {
	struct chunk *next;
	uint64_t size;
};

/* The argument of hold(): its own bytes, which are kept, or a copy. */
struct held {
	const struct objpool_host *host;
	struct objpool_kept *kept; /* NULL: a copy */
	const char *bytes;
	uint32_t size;
};

struct probe {
	uint64_t calls;
	uint64_t allocated;
	struct chunk *chunks;
	struct held held;

	/* In a snapshot: */
	msgpack_sbuffer kept; /* the argument of set(), packed; empty: there was no set() */
	uint64_t counter;
	struct series list;

	/* About clients: */
	uint64_t leased, released, lease_session;
	struct series ended;

	/* From the constructor: */
	msgpack_sbuffer tag;
	bool snapshot_fail;
	double snapshot_sleep; /* seconds */
	char *lease_fail, *destroy_file; /* may be NULL */
	uint32_t slot;
	uint64_t generation;
};

/* Each method of Probe calls this first, so that calls() can count them. */
static inline struct probe *probe_called(void *self)
{
	struct probe *probe = self;
	probe->calls++;
	return probe;
}

/* create.c; the method preloaded tells of the memory that preload has made. */
int probe_preload(struct objpool_call *call, probe_args *args);
int probe_create(struct objpool_call *call, probe_args *args, void **self);
int probe_check(struct objpool_call *call, probe_args *args);
void probe_destroy(void *self);
objpool_method_fn probe_preloaded;

/* answer.c */
objpool_method_fn probe_echo, probe_kwargs, probe_add, probe_blob, probe_sum, probe_pid, probe_slot, probe_generation,
	probe_session, probe_index, probe_calls, probe_pool, probe_deadline, probe_traceparent, probe_print, probe_relay;

/* each.c: the same methods for runs of items */
objpool_many_fn probe_each_echo, probe_each_add, probe_each_sleep, probe_each_index, probe_each_fail, probe_each_crash,
	probe_each_relay, probe_each_traceparent;

/* wait.c */
objpool_method_fn probe_sleep, probe_sleep_hard, probe_spin, probe_progress, probe_series;

/* keep.c */
void probe_drop_held(struct probe *probe);
objpool_method_fn probe_hold, probe_hold_changed, probe_held, probe_set, probe_get, probe_tag, probe_count, probe_append,
	probe_list, probe_allocate, probe_release;
int probe_snapshot(void *self, struct objpool_call *call, msgpack_packer *state);
int probe_restore(void *self, struct objpool_call *call, const msgpack_object *state);

/* clients.c */
objpool_method_fn probe_leases, probe_ended;
int probe_leased(void *self, struct objpool_call *call);
void probe_released(void *self, struct objpool_call *call);
void probe_session_end(void *self, struct objpool_call *call, uint64_t session);

/* fail.c */
objpool_method_fn probe_fail, probe_garbage;

/* harm.c; the constructor calls die_of when it is told to crash. */
objpool_method_fn probe_crash, probe_exit, probe_abort, probe_close_fds, probe_close_std;
void die_of(int signal_number);

#endif
