/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: N slots of one class, and the calls on them.
 *
 * Here: the structure, what others ask of it, and how they have it looked at later. pool_life.h makes and ends pools, sizing.h
 * gives them their slots.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "daemon/core/records/methods.h"
#include "daemon/core/records/queue.h"

#define NEVER UINT64_MAX
#define POOL_GROW_AFTER (20 * MILLISECOND) /* that something has waited for any instance */

struct failing;
struct slot;

struct pool_settings {
	uint32_t max_queue;     /* calls that wait */
	uint64_t start_timeout; /* nanoseconds a constructor may take; NEVER: as long as it likes */
	uint64_t stop_timeout;  /* nanoseconds from the request to stop to the kill */
	uint64_t max_sticky;    /* bytes of calls that are remembered */
	uint64_t max_calls;     /* tasks of an instance, after which it is replaced; 0: any number */
	uint64_t max_age;       /* nanoseconds, likewise; NEVER */
	uint32_t workers_min, workers_max; /* bounds of a size that follows the load; equal: it doesn't */
	uint64_t idle_timeout;  /* nanoseconds after which an idle instance isn't needed; NEVER */
	uint64_t cancel_grace;  /* nanoseconds a cancelled call may go on before its worker is killed; NEVER */
};

/* Calls that are remembered: see sticky.h. */
TAILQ_HEAD(sticky_list, sticky);

struct stickies {
	struct sticky_list list; /* in the order in which they came */
	struct idmap kinds;      /* name_hash -> sticky_kind */
	TAILQ_HEAD(, replay) replays;
	uint64_t last;           /* number */
	uint64_t bytes;          /* that they take */
	uint32_t count;
};

/* A size that follows the load: see sizing.h. */
struct sizing {
	struct timer grow;
	struct timer shrink;
};

struct pool_counts {
	uint64_t calls, failures, lost, rejected;
	uint64_t starts, restarts, failed_starts, deaths; /* of workers */
};

TAILQ_HEAD(slot_list, slot);

struct pool {
	TAILQ_ENTRY(pool) link; /* in core->pools, until it is freed */
	struct ending ending;
	struct core *core;
	char *name;
	struct pool_settings settings;
	struct slot **slots;     /* [size] */
	uint32_t size;
	struct slot_list detached; /* that aren't in slots: those that leave, and successors that have no place yet */
	struct slot_list idle;   /* ready, nothing handed */
	struct slot_list open;   /* ready, may be handed more */
	struct slot_list refusing; /* ready, nothing handed, but its last task was refused: see slot_on_refusal */
	uint32_t broken;         /* slots whose last start failed */
	struct queue queue;      /* for any slot */
	uint32_t waiting;        /* batches in all queues, and calls of trains */
	TAILQ_HEAD(, call) calls;
	struct stickies stickies;
	struct client self;      /* for whom the tasks of sticky calls wait */
	uint32_t calls_count;    /* in `calls` */
	struct methods methods;
	struct lease_list leases; /* of its slots, and for them */
	uint32_t leases_waiting;
	bool has_leased;         /* the class wants to know of leases */
	bool has_snapshot;       /* the class can hand over an instance's state */
	bool tells_sessions;     /* the class wants to know which sessions have ended */
	struct idmap sessions;   /* that have called, if so */
	struct sizing sizing;
	struct timer recall;     /* when tasks are looked for that wait behind a slow task, or in a worker that does not react */
	uint64_t recall_pause;   /* nanoseconds until the next look; doubles while nothing changes */
	struct timer circles;    /* fires after the event when nested calls may wait for themselves */
	struct timer wake;       /* has slots and queues looked at */
	struct timer drop;       /* pool_drop goes on */
	uint32_t drop_left;      /* calls that it has not looked at */
	enum error_code drop_code;
	const char *drop_reason;
	TAILQ_HEAD(, failing) failing; /* tasks whose failure their calls have not been told */
	struct timer tell;       /* tells the next of them: failing_on_timer */
	double spent;            /* starts taken from its budget, as of spent_at; see spend_start in slot_state.c */
	uint64_t spent_at;
	bool leaving;
	struct pool_counts counts;
	char reason[512];        /* why the last start failed; "" once all is well */
	void *owner;             /* the struct template of the supervisor, whose template_of reads it; the core does not */
};

/* The pool of that name that takes calls, or NULL. */
struct pool *pool_find(const struct core *core, struct span name);

/* Is any instance alive, or soon back? */
static inline bool pool_is_available(const struct pool *pool)
{
	return pool->broken < pool->size || pool->size == 0;
}

/* Makes the error that says why not. */
void pool_unavailable(const struct pool *pool, struct error *error);

/* Sets NO_SUCH_SLOT, with a sentence that says which slots there are. */
void pool_say_no_slot(const struct pool *pool, uint64_t slot, struct error *error);

/* The client in whose flow the call's batches wait: a sticky call runs, whether its caller is still there or not, and waits
 * for the pool's own sake. */
static inline struct client *pool_flow_client(struct pool *pool, const struct call *call)
{
	return call->sticky ? &pool->self : call->ticket.client;
}

/* The template has told which methods there are: packed maps with a key "name". `open`: and takes others. */
int pool_set_methods(struct pool *pool, struct span methods, bool open);

/* The client has called: notes it. 0 or -ENOMEM. */
int pool_note_session(struct pool *pool, const struct client *client);

/* A slot or a call has been freed: a pool that is leaving may have ended with it. */
void pool_on_ended(struct pool *pool);

/* ---- marks: the pool is looked at later ---- */

/* As soon as the present event is over: its slots take their next steps (slot_step), and pull what waits. pool_wake_later: a
 * little later, when memory has run out. */
void pool_wake(struct pool *pool);
void pool_wake_later(struct pool *pool);

/* `after` nanoseconds from now: do tasks wait in one slot that could run in another? (recall.h) */
void pool_watch(struct pool *pool, uint64_t after);

/* Something waits for any instance: in POOL_GROW_AFTER, does it still? (sizing.h) */
void pool_grow_later(struct pool *pool);

#endif
