/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: N slots of one class, and the calls on them.
 *
 * Here are the structure, questions about a pool, and the marks by which other files have a pool looked at later. pool_life.h
 * makes and ends pools. sizing.h gives a pool its slots.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "daemon/core/records/methods.h"
#include "daemon/core/records/queue.h"

#define NEVER UINT64_MAX
#define POOL_SHARED_FOR (100 * MILLISECOND) /* see pool_note_sharing */
#define POOL_GROW_AFTER (20 * MILLISECOND) /* a pool grows when tasks have waited for so long */

struct failing;
struct slot;

struct pool_settings {
	uint32_t max_queue;     /* how many calls may wait */
	uint32_t max_concurrent; /* calls at work that an instance should have put off; 0: any number */
	uint32_t max_direct;    /* direct channels that an instance may have; 0: none */
	uint64_t start_timeout; /* nanoseconds that a constructor may take; NEVER: any time */
	uint64_t stop_timeout;  /* nanoseconds from the request to stop to the kill */
	uint64_t max_sticky;    /* bytes of sticky calls */
	uint64_t max_calls;     /* an instance is replaced after so many tasks; 0: it isn't */
	uint64_t max_age;       /* an instance is replaced after so many nanoseconds; NEVER: it isn't */
	uint32_t workers_min, workers_max; /* bounds of the size, which follows the load; equal: it doesn't */
	uint64_t idle_timeout;  /* the pool shrinks when an instance has been idle for so many nanoseconds; NEVER: it doesn't */
	uint64_t cancel_grace;  /* nanoseconds that a cancelled call may go on before its worker is killed; NEVER: any time */
};

/* Sticky calls: see sticky.h. */
TAILQ_HEAD(sticky_list, sticky);

struct stickies {
	struct sticky_list list; /* in the order in which they came */
	struct idmap kinds;      /* name_hash -> sticky_kind */
	TAILQ_HEAD(, replay) replays; /* under way */
	uint64_t last;           /* number of the last sticky call */
	uint64_t bytes;          /* of memory that they take */
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
	struct slot_list detached; /* slots that aren't in `slots`: slots that leave, and successors that have no place yet */
	struct slot_list idle;   /* slots that are ready and have no tasks */
	struct slot_list open;   /* slots that are ready, have tasks, and may be handed more */
	struct slot_list laden;  /* slots that are ready, and may be handed more while only one client's maps wait */
	struct slot_list refusing; /* slots that are idle, and have refused their last task: see slot_on_refusal */
	uint32_t broken;         /* how many slots in `slots` have failed their last start */
	struct queue queue;      /* tasks for any slot */
	struct queue later;      /* likewise, of methods that are at work, when no slot had room for them: see slot_room */
	uint32_t waiting;        /* batches in all queues of the pool and its slots; of a train, its calls */
	uint64_t turns;          /* batches that were taken from the queues of the pool and its slots: see queue.h */
	uint64_t shared_until;   /* others than one client's maps have waited lately: see pool_note_sharing */
	bool paused;             /* its instances get no calls: see pause.h */
	bool laden_deep;         /* a worker may have more than SLOT_AHEAD in its hands */
	TAILQ_HEAD(, call) calls; /* that have begun, until they are freed */
	struct stickies stickies;
	struct client self;      /* the client in whose flows the tasks of sticky calls wait */
	uint32_t calls_count;    /* how many calls are in `calls` */
	struct methods methods;
	struct lease_list leases; /* all leases of its slots, and all that wait for a slot */
	uint32_t leases_waiting; /* leases that have not been granted */
	bool has_leased;         /* the class wants to know of leases */
	bool has_snapshot;       /* the class can hand over an instance's state */
	bool tells_sessions;     /* the class wants to know which sessions have ended */
	struct idmap sessions;   /* sessions that have called, if tells_sessions or before that is known */
	struct sizing sizing;
	struct timer recall;     /* recall_on_timer looks for tasks that wait behind a slow task or a stopped worker */
	uint64_t recall_pause;   /* nanoseconds until it looks again; doubles while nothing changes */
	struct timer circles;    /* fires after the event when nested calls may wait for themselves */
	struct timer wake;       /* has all slots take their next step: see pool_wake */
	struct timer drop;       /* pool_drop goes on */
	uint32_t drop_left;      /* calls that pool_drop has not looked at */
	enum error_code drop_code;
	const char *drop_reason;
	TAILQ_HEAD(, failing) failing; /* tasks that have failed, and whose calls were not told: see failing.h */
	struct timer tell;       /* failing_on_timer tells the next calls */
	double spent;            /* starts taken from its budget, as of spent_at; see spend_start in slot_state.c */
	uint64_t spent_at;
	bool leaving;
	struct pool_counts counts;
	uint64_t start_took;     /* nanoseconds that the last worker to get ready needed, from its start */
	char reason[512];        /* why the last start failed; "" once an instance has got ready */
	void *owner;             /* the struct template of the supervisor, whose template_of reads it; the core does not */
};

/* The pool of that name. NULL: there is none, or it is leaving. */
struct pool *pool_find(const struct core *core, struct span name);

/* Has the pool a slot whose last start has not failed? A pool of size 0 will start a worker. */
static inline bool pool_is_available(const struct pool *pool)
{
	return pool->broken < pool->size || pool->size == 0;
}

/* How many batches wait for any slot. */
static inline uint32_t pool_shared_count(const struct pool *pool)
{
	return pool->queue.count + pool->later.count;
}

/* The pool of the method that the client called last, if the client's memo is still true. NULL: all has to be looked up. */
static inline struct pool *pool_of_memo(const struct client *client)
{
	const struct client_memo *memo = &client->memo;
	return memo->epoch == client->core->epoch && memo->pool->size > 0 && !client->core->draining ? memo->pool : NULL;
}

/* Makes the error that says why the pool is not available. */
void pool_say_unavailable(const struct pool *pool, struct error *error);

/* Makes the error NO_SUCH_SLOT, which says which slots there are. */
void pool_say_no_slot(const struct pool *pool, uint64_t slot, struct error *error);

/* The client in whose flow the call's batches wait. A sticky call runs also when its caller has gone, so its batches wait in a
 * flow of the pool's own client. */
static inline struct client *pool_flow_client(struct pool *pool, const struct call *call)
{
	return call->sticky ? &pool->self : call->ticket.client;
}

/* The template has told which methods the class has: as for methods_set. */
int pool_set_methods(struct pool *pool, struct span methods, bool open);

/* The client has called: notes that in pool->sessions, if the class wants to know when sessions end. 0 or -ENOMEM. */
int pool_note_session(struct pool *pool, const struct client *client);

/* A slot or a call of the pool has been freed: a pool that is leaving may have ended. */
void pool_reap_later(struct pool *pool);

/* ---- marks: the pool is looked at later ---- */

/* When the present event is over, the pool's slots take their next step (slot_step) and pull tasks that wait. pool_wake_later:
 * a little later, after memory has run out. */
void pool_wake(struct pool *pool);
void pool_wake_later(struct pool *pool);

/* Something else than one client's maps waits: for a while workers are handed less ahead, and tasks that
 * they have not begun are taken back (recall.h). */
void pool_note_sharing(struct pool *pool);

/* `after` nanoseconds from now, recall.h looks whether tasks wait in one slot that could run in another. */
void pool_watch(struct pool *pool, uint64_t after);

/* Tasks wait for any instance: if some do after POOL_GROW_AFTER, sizing.h has the pool grow. */
void pool_grow_later(struct pool *pool);

#endif
