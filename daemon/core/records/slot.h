/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot: an instance's place in its pool. The slot stays; the worker in it comes and goes.
 *
 *              .---------------- died, after a delay ----------------.
 *              v                                                     |
 *   new -> WAITING -> STARTING -> READY -> STOPPING -> GONE; see successor.h
 *              ^          |         |
 *              '- failed -'         '- died: its running tasks fail, those not begun go back
 */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include "daemon/core/records/queue.h"
#include "proto/channel.h"

#define SLOT_AHEAD (MILLISECOND) /* of work in a worker's hands */

enum {
	SLOT_BATCHES = 768,    /* in a worker's hands */
	SLOT_UNSENT = 1 << 20, /* bytes to a worker that does not take them */
};

enum slot_state {
	SLOT_WAITING,
	SLOT_STARTING,
	SLOT_READY,
	SLOT_STOPPING,
	SLOT_GONE /* ended for good: freed when the event is over */
};

/* What happens to a slot once it has nothing to do. */
enum slot_plan {
	PLAN_STAY,
	PLAN_RETIRE, /* its successor is ready: finishes what it has been handed */
	PLAN_LEAVE   /* finishes what it has, and what waits for it alone */
};

struct lease;
struct pool;
struct slot_list;
struct sticky;

/* Calls that the methods of the slot's instance make: see nested.h. */
struct nested {
	struct client client; /* of the slot's present worker */
	bool on;              /* `client` is valid: the worker has made a nested call */
	uint32_t batch;       /* id of the one whose method asks */
};

/* What the slot's worker still has to replay: see sticky.h. */
struct replay {
	TAILQ_ENTRY(replay) link; /* in stickies->replays, while it is on */
	struct sticky *next;      /* NULL: none is left */
	uint64_t until;           /* the number of the last call that is replayed: a later one comes as a task */
	uint32_t ahead;           /* calls that the worker has been given, and has not begun */
	bool on;                  /* it has not been told yet that there is nothing more */
	bool restoring;           /* its predecessor's state was sent to it; if it can't restore it, it will replay */
};

/* Is there something that the worker must have done before its first task? */
static inline bool replay_is_due(const struct replay *replay)
{
	return replay->on || replay->restoring;
}

struct slot {
	struct ending ending;
	struct pool *pool;
	uint32_t index;
	void *owner;             /* the struct worker of the supervisor, whose worker_of reads it; the core does not */
	int64_t pid;             /* of the worker, set by the supervisor; 0: none */

	/* ---- its state ---- */
	enum slot_state state;
	enum slot_plan plan;
	uint64_t generation;     /* of the worker that is, or was last, there; 0: none yet */
	uint64_t since;          /* in this state */
	bool broken;             /* the last start failed */
	bool cut_off;            /* in pool->detached, not in pool->slots */
	bool killed;             /* told to die; not gone yet */
	struct timer timer;      /* WAITING: start; STARTING, STOPPING: patience ends */
	char reason[256];        /* why this start failed, or why the daemon kills the worker; "": neither, or not known yet */

	/* ---- the next start ---- */
	bool served;             /* an instance has been ready here: the next one that gets ready is a restart */
	uint32_t failures;       /* starts that failed in a row */
	uint64_t delay;          /* before the next start */
	bool died_young;         /* the worker before this one */

	/* ---- being replaced: see successor.h ---- */
	struct slot *successor, *predecessor;
	bool waits_for_calls;    /* a successor that takes the place when its predecessor has had all its calls */
	bool aged;               /* older than max_age: is to have a successor */
	bool no_successor;       /* it could not be built */
	uint64_t try_again;      /* not before */
	struct sendq later;      /* of a successor: once it has its predecessor's state */

	/* ---- leased: see lease.h ---- */
	struct lease *leased;    /* NULL: anybody's */
	uint64_t holder;         /* the session that holds the lease: only its calls run here; 0: none yet */
	uint32_t leases_asked;   /* of the class; answers that are still to come */

	/* ---- what is written to its worker ---- */
	struct board *board;     /* of the worker; set by ops->slot_start */
	struct sendq out;        /* to the worker */
	bool told_start;         /* START has been written to it */
	struct idmap bound;      /* bindings that the worker has */

	/* ---- what the worker replays: see sticky.h ---- */
	char replaying[64];      /* STARTING: the method of the sticky call that is replayed; "": the constructor runs */
	uint64_t patience;       /* nanoseconds that this call may take */
	struct replay replay;    /* the sticky calls that it has still to be given */

	/* ---- what is addressed to it ---- */
	struct queue queue;      /* addressed to this slot */
	bool own_turn;           /* the next batch is taken from there */

	/* ---- what it has in its hands ---- */
	struct batch_list handed;
	uint32_t handed_count;
	uint64_t ahead;          /* nanoseconds that they are thought to take */
	uint64_t tasks;          /* handed to this worker in all */
	uint64_t idle_since;
	bool closed;             /* something slow runs: nothing is handed ahead until it has ended */
	uint32_t next_id;
	struct batch *by_id[BOARD_ENTRIES];
	TAILQ_ENTRY(slot) link;  /* in pool->idle, open, refusing or detached */
	struct slot_list *listed;

	/* ---- a cancelled call must end ---- */
	struct timer grace;      /* until then */
	uint32_t grace_batch;    /* its id */

	/* ---- does the worker react? see recall.h ---- */
	uint64_t position;       /* position_of at recall.c's last look */
	uint64_t nudged;         /* the position at which the worker was nudged */
	uint64_t heard;          /* when the worker last showed that it reacts, or was given something when it had nothing */
	size_t unsent;           /* bytes in `out` at the last look */
	bool silent;             /* the worker does not react: its tasks were taken back, and it gets nothing until it reacts */

	/* ---- an instance without memory: see slot_on_refusal ---- */
	bool refuses;            /* it had no memory to begin its last task with: others are preferred */
	uint64_t refuses_for;    /* nanoseconds: how long they are; doubles with each refusal, and is 0 once a task has begun */
	struct timer trial;      /* then it is tried again */

	/* ---- calls that its methods make: see nested.h ---- */
	struct nested nested;
	uint64_t walk;           /* last passed by it; what it found */
	bool walk_free;

	/* ---- tasks that its methods have put off: see deferral.h ---- */
	struct batch_list deferred; /* one task each */
	struct idmap by_tag;

	/* ---- for status ---- */
	uint64_t calls, failed, lost, restarts; /* tasks and workers, all generations */
	char last_failure[256];  /* of a task, a start or a worker, for status */
};

/* Is its instance ready, and will it stay? Nothing is under way that would replace or end it. */
static inline bool slot_is_steady(const struct slot *slot)
{
	return slot->state == SLOT_READY && !slot->successor && slot->plan == PLAN_STAY && !slot->killed;
}

const char *slot_state_name(enum slot_state state);

/* Says where an error happened; makes the error that says why the slot has no instance. */
void slot_fill_place(const struct slot *slot, struct error *error);
void slot_unavailable(const struct slot *slot, struct error *error);

/* Kills the worker. `reason` is for the log and for errors. slot_on_gone follows. */
void slot_kill(struct slot *slot, const char *reason);

/* Puts the slot on the list of its pool where it belongs, once its state, or what it holds, has changed. */
void slot_relist(struct slot *slot);

/* ---- what the worker has in its hands ---- */

/* Has a worker been handed the batch, and not answered it, or put it off? */
bool slot_has_in_hand(const struct batch *batch);

/* The batch of that id; NULL: the worker doesn't have it. */
struct batch *slot_batch(const struct slot *slot, uint64_t id);

/* The batch is in the worker's hands from now on, under a new id; and: it isn't any more. */
void slot_take(struct slot *slot, struct batch *batch, uint64_t estimate);
void slot_release(struct batch *batch);

/* May a worker that has something be given more? */
bool slot_may_be_ahead(const struct slot *slot);

/* How many tasks it may be handed before it is replaced (max_calls); UINT64_MAX: any number. */
uint64_t slot_calls_left(const struct slot *slot);

/* The ticket of the nested call that the slot's method waits for, or NULL. */
static inline struct ticket *slot_awaited(const struct slot *slot)
{
	return slot->nested.on ? TAILQ_FIRST(&slot->nested.client.tickets) : NULL;
}

/* ---- how a worker ended ---- */

/* "killed by signal 11 (Segmentation fault)". slot_describe_end adds the reason if the daemon has killed the worker. */
void slot_describe_status(int status, char *text, size_t size);
void slot_describe_end(const struct slot *slot, int status, char *text, size_t size);

/* The worker ended before it was ready: sets slot->reason, unless it is set. `reason` is as for slot_on_gone. */
void slot_describe_start(struct slot *slot, int status, const char *reason);

#endif
