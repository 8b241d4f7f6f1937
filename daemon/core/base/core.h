/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core: pools, calls and the scheduler as plain functions. Events come in: a message of a client, a message of a worker,
 * a worker ready or gone, a client gone, the time. Actions go out: bytes in send queues, and the few calls of
 * `struct core_ops`. The core knows no sockets and no clock, so that a simulation can drive it through any order of
 * events; the daemon around it does the I/O.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "daemon/core/base/idmap.h"
#include "proto/account.h"
#include "proto/timers.h"

#include <stdbool.h>
#include <sys/queue.h>

struct client;
struct error;
struct pool;
struct remote;
struct slot;
struct rpc;

/* What the core asks of the program around it: the supervisor, or the simulation. These functions must not call into the core. */
struct core_ops {
	/* client->out has become non-empty. */
	void (*client_wrote)(struct client *client);
	/* slot->out has become non-empty. */
	void (*slot_wrote)(struct slot *slot);
	/* A slot is made: makes the supervisor's side of it. 0 or -ENOMEM: then the slot is freed again. The pointer may be
	 * NULL. */
	int (*slot_made)(struct slot *slot);
	/* Starts a worker for slot->generation. Sets slot->board. Ends in slot_on_message (READY) or
	 * in slot_on_gone. */
	void (*slot_start)(struct slot *slot);
	/* Kills the worker; slot_on_gone follows. */
	void (*slot_kill)(struct slot *slot);
	/* A task runs for longer than was estimated: has the worker send the answers that it has finished before. */
	void (*slot_nudge)(struct slot *slot);
	/* A slot has changed its state, or its pool is paused and it runs nothing: for the log, and for requests that wait. */
	void (*slot_changed)(struct slot *slot);
	/* May the client make sticky calls of the pool (NULL: of one that other hosts have)? The pointer may be NULL: then every
	 * client may. */
	bool (*may_stick)(const struct client *client, const struct pool *pool);
	/* A request of the client was refused with DENIED. The pointer may be NULL. */
	void (*denied)(const struct client *client, const struct error *error);
	/* A call was refused because the pool's queue is full. The pointer may be NULL. */
	void (*pool_full)(struct pool *pool);
	/* The session has got the slot for itself. Its lease has ended: it was given back, or (`broken`) for this reason. The
	 * pointers may be NULL. */
	void (*lease_opened)(const struct slot *slot, uint64_t session);
	void (*lease_ended)(const struct slot *slot, uint64_t session, const char *broken);
	/* The slot is no part of its pool any more. It is freed when this returns. */
	void (*slot_free)(struct slot *slot);
	/* The pool has finished its calls and its slots are gone. It is freed when this returns. */
	void (*pool_free)(struct pool *pool);
};

struct core_limits {
	uint64_t max_message;  /* bytes in one message, in or out */
	uint32_t max_inflight; /* a session with so many unanswered calls is not read */
	uint64_t max_pending;  /* so is a session with more bytes of unanswered calls */
	uint64_t max_unsent;   /* so is a session with more bytes of answers that it has not read */
	uint64_t max_memory;   /* bytes that the daemon may hold for all sessions and workers together; 0: no limit */
	uint64_t payload_min;  /* values of so many bytes go to a worker by descriptor; 0: none does */
};

TAILQ_HEAD(pool_list, pool);

/*
 * Embedded in each structure that may end: call, batch, slot, pool, lease. None of these is freed in the middle of an event:
 * core_reap_later lists it, and core_end_event calls `reap`, which frees it if it has ended indeed. Until then a pointer to it
 * stays valid.
 */
struct ending {
	struct ending *next;
	void (*reap)(struct ending *ending); /* set by whoever makes the structure */
	bool listed;
};

/* The memory of a small call that has ended, to be used again. */
struct spare_call {
	struct spare_call *next;
};

struct core {
	uint64_t now; /* CLOCK_MONOTONIC nanoseconds; the owner moves it before each event */
	struct timers timers;
	const struct core_ops *ops;
	struct core_limits limits;
	struct account memory;      /* the daemon's account: the parent of each client's */
	struct account *lasting;    /* its child: what pools keep while they live: sticky calls, constructors' arguments */
	uint64_t memory_refused;    /* calls and messages that were refused because of max_memory */
	struct idmap pools_by_name; /* name_hash -> pool: the pools that take calls */
	struct idmap quotas_by_name; /* name_hash -> quota: see quota.h */
	struct pool_list pools;     /* all pools, also those that are leaving */
	uint64_t epoch;             /* grows when a pool comes, goes or learns its methods */
	uint64_t last_client;
	uint64_t last_quota;
	uint64_t last_direct;       /* number of a direct channel */
	uint32_t last_binding;
	uint64_t last_walk;         /* number of the last walk through the slots: see nested.c */
	uint64_t denied;            /* requests that were refused because their clients have no right to them */
	uint64_t late;              /* results that came when nobody waited for them any more */
	struct remote *remote;      /* the way to other hosts; NULL: there is none */
	bool draining;              /* takes no new calls */
	/* Gets each line of core_trace. NULL: the log doesn't want them. */
	void (*trace)(const struct pool *pool, const struct slot *slot, const char *text);
	struct spare_call *spare_calls; /* see call_new */
	uint32_t spare_count;
	struct ending *endings;         /* listed in this event by core_reap_later */
};

void core_init(struct core *core, const struct core_ops *ops, const struct core_limits *limits);
void core_set_limits(struct core *core, const struct core_limits *limits);

/* Checks that pools may keep the memory that has just been charged to core->lasting. 0; or -ENOSPC: counts the refusal, and
 * makes *error. */
int core_check_lasting(struct core *core, struct error *error);
void core_free(struct core *core);

/* Says in the log, at the level debug, what has come or been decided. `pool` and `slot` may be NULL. The arguments are
 * evaluated only if core->trace is set. Texts of clients in the line are not escaped. */
#define core_trace(core, pool, slot, ...) ((core)->trace ? core_say((core), (pool), (slot), __VA_ARGS__) : (void)0)
__attribute__((format(printf, 4, 5))) void core_say(const struct core *core, const struct pool *pool, const struct slot *slot,
						    const char *format, ...);

/* The structure around `ending` may have ended: core_end_event will call its `reap`, once however often it was listed. */
static inline void core_reap_later(struct core *core, struct ending *ending)
{
	if (ending->listed)
		return;
	ending->listed = true;
	ending->next = core->endings;
	core->endings = ending;
}

/* An event is over: frees what has ended in it. The program around the core calls this when no function of the core is on the
 * stack. */
void core_end_event(struct core *core);

#endif
