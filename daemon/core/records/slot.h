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

#define SLOT_AHEAD      (MILLISECOND)     /* of work, by estimate, that a busy worker may have in its hands */
#define SLOT_AHEAD_MAX  (8 * MILLISECOND) /* the same while only one client's maps wait: see reach_of in scheduler.c */

enum {
	SLOT_BATCHES = 768,    /* that a worker may have in its hands */
	SLOT_UNSENT = 1 << 20, /* a worker that has not read so many bytes is handed nothing */
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
	PLAN_RETIRE, /* its successor takes its place; until then the slot finishes the tasks in its hands */
	PLAN_LEAVE   /* it ends; until then it finishes the tasks in its hands, and the tasks that are addressed to it */
};

struct direct;
struct lease;
struct pool;
struct slot_list;
struct sticky;

/* Calls that the methods of the slot's instance make: see nested.h. */
struct nested {
	struct client client; /* of the slot's present worker */
	bool on;              /* `client` is valid: the worker has made a nested call */
	uint32_t batch;       /* id of the batch whose method calls; 0: another does */
	uint64_t tag;         /* of the deferred task that calls; 0: another does */
	struct direct *direct; /* a message of this direct channel has called the method that calls; NULL: a batch has */
	struct span traceparent; /* while the call comes: of the call that makes it; size 0: none */
};

/* What the slot's worker still has to replay: see sticky.h. */
struct replay {
	TAILQ_ENTRY(replay) link; /* in stickies->replays, while it is on */
	struct sticky *next;      /* NULL: none is left */
	uint64_t until;           /* the number of the last call that is replayed: a later one comes as a task */
	uint32_t ahead;           /* calls that the worker has been given, and has not begun */
	bool on;                  /* the worker has not been told that there are no more calls to replay */
	bool restoring;           /* the predecessor's state was sent to the worker, which has not answered yet */
};

/* Has the worker to replay calls or to restore a state before its first task? */
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
	bool killed;             /* its worker is killed, and has not gone yet */
	struct timer timer;      /* WAITING: start; STARTING, STOPPING: patience ends; READY: max_age, stop_timeout */
	char reason[256];        /* why this start failed, or why the daemon kills the worker; "": neither, or not known */

	/* ---- the next start ---- */
	bool served;             /* an instance has been ready here: the next instance counts as a restart */
	uint32_t failures;       /* starts that failed in a row */
	uint64_t delay;          /* before the next start */
	bool died_young;         /* the last worker did */

	/* ---- being replaced: see successor.h ---- */
	struct slot *successor, *predecessor;
	const char *cause;       /* of an instance that was built as a successor: why; NULL: it was not */
	bool waits_for_calls;    /* of a successor: it takes the place when its predecessor has had max_calls tasks */
	bool aged;               /* the instance is older than max_age: successor_begin_or_retire builds a successor */
	bool no_successor;       /* the successor could not be built */
	uint64_t try_again;      /* when a successor may be tried again */
	struct sendq later;      /* of a successor: messages that are sent when it has its predecessor's state */

	/* ---- leased: see lease.h ---- */
	struct lease *leased;    /* NULL: the slot is not leased */
	uint64_t holder;         /* the session that holds the lease: only its calls run here; 0: the lease is not granted yet */
	struct lease *cleared_for; /* the slot's direct channels are closed for this lease, and it gets no new ones; NULL: none */
	uint32_t leases_asked;   /* how many answers to a request for a lease the instance owes */

	/* ---- what is written to its worker ---- */
	struct board *board;     /* of the worker; set by ops->slot_start */
	struct sendq out;        /* to the worker */
	bool told_start;         /* START has been written to it */
	struct idmap bound;      /* bindings that the worker has */

	/* ---- what the worker replays: see sticky.h ---- */
	char replaying[64];      /* STARTING: the method of the sticky call that is replayed; "": the constructor runs */
	uint64_t patience;       /* nanoseconds that this call may take */
	struct replay replay;    /* the sticky calls that it has not been given */

	/* ---- what is addressed to it ---- */
	struct queue queue;      /* tasks that are addressed to this slot */
	uint64_t turns;          /* batches that it has taken from queues: see queue.h */
	bool shared_turn;        /* of batches of the same priority, the next is taken from the pool's queues, not from this one */

	/* ---- what it has in its hands ---- */
	struct batch_list handed;
	uint32_t handed_count;
	uint64_t ahead;          /* nanoseconds that they are estimated to take */
	uint64_t tasks;          /* how many tasks this worker was handed, and messages of direct channels it has run, in all */
	uint64_t idle_since;
	bool runs_slow;          /* a slow task runs: the slot is handed nothing until it has ended */
	uint32_t next_id;
	struct batch *by_id[BOARD_ENTRIES];
	TAILQ_ENTRY(slot) link;  /* in pool->idle, open, laden, refusing or detached */
	struct slot_list *listed;

	/* ---- a cancelled call must end ---- */
	struct timer grace;      /* then the worker is killed, if what was cancelled still runs: */
	uint32_t grace_batch;    /* the id of a batch */
	uint64_t grace_direct;   /* the word on the board of a direct message; 0: it is the batch */
	struct timer step_grace; /* likewise, if a task that was put off has been given up, and it may be this task that runs */
	uint64_t step;           /* the step on the board when the task was given up; 0: none was running */
	uint64_t given_up;       /* when that was; 0: not, or the timer has fired */

	/* ---- does the worker react? see recall.h ---- */
	uint64_t position;       /* position_of at recall.c's last look */
	uint64_t nudged;         /* the position at which the worker was last nudged */
	uint64_t heard;          /* when the worker last showed that it reacts, or was given something when it had nothing */
	size_t unsent;           /* bytes in `out` at the last look */
	bool silent;             /* the worker does not react: its tasks were taken back, and it gets none until it reacts */

	/* ---- an instance without memory: see slot_on_refusal ---- */
	bool refuses;            /* it had no memory to begin its last task: other instances are preferred */
	uint64_t refuses_for;    /* for so many nanoseconds; doubles with each refusal, and is 0 once a task has begun */
	struct timer trial;      /* then it may have tasks again */

	/* ---- calls that its methods make: see nested.h ---- */
	struct nested nested;
	uint64_t walk;           /* number of the last walk of nested.c that came to this slot */
	bool walk_free;          /* that walk found that the slot can come free */

	/* ---- tasks that its methods have put off: see deferral.h ---- */
	struct batch_list deferred; /* one task each */
	uint32_t at_work;        /* how many of them are at work; the others wait */
	uint32_t promised;       /* tasks in the slot's hands that may become so */
	struct idmap by_tag;

	/* ---- direct channels to its worker: see calls/direct.h ---- */
	struct direct_list directs;
	uint32_t directs_count;
	uint64_t direct_places;  /* a bit for each place on the board that is taken */
	bool counts_direct;      /* this worker has had a direct channel: its board has counts */

	/* ---- for status ---- */
	uint64_t calls, failed, lost, restarts; /* tasks and workers, all generations */
	char last_failure[256];  /* of a task, a start or a worker, for status: slot_note_failure sets it */
	uint64_t failed_at;      /* when that was; 0: nothing has failed */
};

/* Is its instance ready, and will it stay? Nothing is under way that would replace or end it. */
static inline bool slot_is_steady(const struct slot *slot)
{
	return slot->state == SLOT_READY && !slot->successor && slot->plan == PLAN_STAY && !slot->killed;
}

const char *slot_state_name(enum slot_state state);

/* Each slot of the pool: those in pool->slots, then those in pool->detached. The body may move slots to the end of `detached`. */
#define SLOT_FOREACH(slot, pool) for (struct slot_walk walk_ = {0}; ((slot) = slot_next(pool, &walk_));)

struct slot_walk {
	uint32_t next;         /* index in pool->slots */
	struct slot *detached; /* the last one of pool->detached; NULL: none yet */
};

struct slot *slot_next(const struct pool *pool, struct slot_walk *walk);

/* Writes the pool, slot and generation into an error. */
void slot_fill_place(const struct slot *slot, struct error *error);

/* Makes the error that says why the slot has no instance. */
void slot_say_unavailable(const struct slot *slot, struct error *error);

/* Sets last_failure and failed_at. */
__attribute__((format(printf, 2, 3))) void slot_note_failure(struct slot *slot, const char *format, ...);

/* Kills the worker. `reason` is for the log and for errors. slot_on_gone follows. */
void slot_kill(struct slot *slot, const char *reason);

/* The slot's state or its tasks have changed: puts the slot on the list of its pool where it belongs now. */
void slot_relist(struct slot *slot);

/* Bytes of `out`, which were `before`, have gone to the worker: it may be handed something again. */
void slot_on_sent(struct slot *slot, size_t before);

/* ---- what the worker has in its hands ---- */

/* Is the batch in a worker's hands: handed, not answered, and not put off? */
bool slot_has_in_hand(const struct batch *batch);

/* Are tasks under way in the instance that its methods have put off? Then it is not idle, although it has nothing in its hands. */
bool slot_is_at_work(const struct slot *slot);

/* How many tasks of the batch's call the slot may be handed, so that no more than max_concurrent are at work in it. Of a method
 * that is not known to be at work: any number. */
uint32_t slot_room(const struct slot *slot, const struct batch *batch);

/* Does the instance run nothing, neither for calls nor for direct channels? Tasks that it has put off may wait in it. */
bool slot_rests(const struct slot *slot);

/* Do tasks wait in the instance that its methods have put off? They may wait for ever. */
bool slot_has_waiters(const struct slot *slot);

/* The task whose method has made the slot's nested call. NULL: it has ended, or is a message of a direct channel. */
const struct batch *slot_calling(const struct slot *slot);

/* The batch of that id. NULL: the worker has no such batch. */
struct batch *slot_batch(const struct slot *slot, uint64_t id);

/* Puts the batch into the worker's hands, under a new id. slot_release takes it out. */
void slot_take(struct slot *slot, struct batch *batch, uint64_t estimate);
void slot_release(struct batch *batch);

/* The batch in the worker's hands has become shorter. */
void slot_estimate(struct batch *batch, uint64_t estimate);

/* May a worker that has tasks be handed more, as far as it has less work than `most`? */
bool slot_may_be_ahead(const struct slot *slot, uint64_t most);

/* How many tasks the instance may be handed before it is replaced (max_calls). UINT64_MAX: any number. */
uint64_t slot_calls_left(const struct slot *slot);

/* The ticket of the nested call that the slot's method waits for, or NULL. */
static inline struct ticket *slot_awaited(const struct slot *slot)
{
	return slot->nested.on ? TAILQ_FIRST(&slot->nested.client.tickets) : NULL;
}

/* ---- how a worker ended ---- */

/* Writes how the worker ended: "killed by signal 11 (Segmentation fault)". slot_describe_end adds the reason if the daemon has
 * killed it. */
void slot_describe_status(int status, char *text, size_t size);
void slot_describe_end(const struct slot *slot, int status, char *text, size_t size);

/* The worker ended before it was ready: sets slot->reason, unless it is set. `reason` is as for slot_on_gone. */
void slot_describe_start(struct slot *slot, int status, const char *reason);

#endif
