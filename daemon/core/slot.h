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

#include "daemon/core/nested.h"
#include "daemon/core/queue.h"
#include "daemon/core/sticky.h"
#include "proto/channel.h"

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

TAILQ_HEAD(slot_list, slot);

struct lease;

struct slot {
	struct ending ending;
	struct pool *pool;
	uint32_t index;
	enum slot_state state;
	enum slot_plan plan;
	uint64_t generation;     /* of the worker that is, or was last, there; 0: none yet */
	uint64_t since;          /* in this state */
	bool broken;             /* the last start failed */
	bool cut_off;            /* in pool->others, not in pool->slots */
	struct slot *successor, *predecessor; /* see successor.h */
	bool early;              /* a successor that waits until its predecessor has had all its calls */
	bool no_successor;       /* it could not be built */
	uint64_t try_again;      /* not before */
	uint64_t tasks;          /* handed to this worker in all */
	uint64_t idle_since;
	struct lease *leased;    /* NULL: anybody's */
	uint32_t leases_asked;   /* of the class; answers that are still to come */
	bool killed;             /* told to die; not gone yet */
	bool served;             /* an instance has been ready here: the next one that gets ready is a restart */
	uint32_t failures;       /* starts that failed in a row */
	uint64_t delay;          /* before the next start */
	struct timer timer;      /* WAITING: start; STARTING, STOPPING: patience ends */
	struct timer grace;      /* a cancelled call must have ended */
	uint32_t grace_batch;    /* its id */

	struct board *board;     /* of the worker; set by ops->slot_start */
	struct sendq out;        /* to the worker */
	struct sendq later;      /* of a successor: once it has its predecessor's state */
	bool told_start;         /* START has been written to it */
	char replaying[64];      /* STARTING: the method of the sticky call that is replayed; "": the constructor runs */
	uint64_t patience;       /* nanoseconds that this call may take */
	struct replay replay;    /* the sticky calls that it has still to be given */
	struct queue queue;      /* addressed to this slot */
	bool own_turn;           /* the next batch is taken from there */
	struct batch_list handed;
	uint32_t handed_count;
	uint64_t ahead;          /* nanoseconds that they are thought to take */
	bool closed;             /* something slow runs: nothing is handed ahead until it has ended */
	uint64_t position;       /* position_of at scheduler.c's last look */
	uint64_t nudged;         /* the position at which the worker was nudged */
	uint64_t heard;          /* when the worker last showed that it reacts, or was given something when it had nothing */
	size_t unsent;           /* bytes in `out` at the last look */
	bool silent;             /* the worker does not react: its tasks were taken back, and it gets nothing until it reacts */
	uint32_t next_id;
	struct batch *by_id[BOARD_ENTRIES];
	struct idmap bound;      /* bindings that the worker has */
	struct nested nested;    /* calls that its methods make */
	uint64_t walk;           /* last passed by it; what it found */
	bool walk_free;
	struct batch_list deferred; /* one task each, which their methods have put off */
	struct idmap by_tag;

	TAILQ_ENTRY(slot) link;  /* in pool->idle, open or others */
	struct slot_list *listed;

	uint64_t calls, failed, lost, restarts; /* tasks and workers, all generations */
	char fault[256];         /* why this start failed, or why the daemon kills the worker; "": neither, or not known yet */
	char last_failure[256];  /* of a task, a start or a worker, for status */
	void *owner;             /* of those around the core */
	int64_t pid;             /* theirs too; 0: none */
};

const char *slot_state_name(enum slot_state state);

/* NULL: out of memory. slot_delete is for a slot for which slot_begin has not been called. */
struct slot *slot_new(struct pool *pool, uint32_t index);
void slot_delete(struct slot *slot);

/* Starts the slot's first worker. */
void slot_begin(struct slot *slot);

/* A new worker; returns the generation that it will have. Once what is addressed to it is done: none. */
uint64_t slot_restart(struct slot *slot);
void slot_leave(struct slot *slot);

/* The instance is to end once it has done the calls in its hands, however long they take. A worker that does not react is
 * killed after stop_timeout. */
void slot_expect_end(struct slot *slot);

/* Out of pool->slots: into pool->others, to end there. */
void slot_cut_off(struct slot *slot);

/* For a slot that is cut off and holds nothing: stops its worker. A slot without a worker has ended. */
void slot_end(struct slot *slot);

/* A slot of pool->others has ended for good: it is freed when the event is over. */
void slot_finish(struct slot *slot);

/* Has a worker been handed the batch, and not answered it, or put it off? */
bool slot_has_in_hand(const struct batch *batch);

/* The caller of a batch that runs here doesn't wait any more: tells the method, and the kill follows if the pool wants it. */
void slot_cancel(struct slot *slot, struct batch *batch);

/* A client has gone that may have called the instance. */
void slot_on_session_end(struct slot *slot, uint64_t session);

/* Kills the worker. `why` is for the log and for errors. slot_on_gone follows. */
void slot_kill(struct slot *slot, const char *why);

/* The worker begins to replay a sticky call of this method; a new worker's constructor is done. 0; -EBADMSG: it was given none. */
int slot_on_replaying(struct slot *slot, struct span method);

/* The worker has its predecessor's state; or, `failed`, it has to replay the sticky calls. */
void slot_on_restored(struct slot *slot, bool failed);

/* Its worker is ready. */
void slot_on_ready(struct slot *slot);

/* Says where an error happened; makes the error that says why the slot has no instance. */
void slot_fill_place(const struct slot *slot, struct error *error);
void slot_unavailable(const struct slot *slot, struct error *error);

/* The slot may have room, or nothing left to do: it pulls, or goes on with its plan. */
void slot_look(struct slot *slot);

/* A whole, scanned message of the worker. 0; or -EBADMSG (the worker broke the protocol) or -ENOMEM: the caller kills the
 * worker. */
int slot_on_message(struct slot *slot, struct span message, struct block *block);

/* The worker has gone: all that it sent has been given to slot_on_message before. `status` as of waitpid; `why` says more when
 * it isn't NULL (it could not be started, say). */
void slot_on_gone(struct slot *slot, int status, const char *why);

/* The worker ended before it was ready: makes slot->fault say why, unless it does. `why` as for slot_on_gone. */
void slot_describe_start(struct slot *slot, int status, const char *why);

/* For the log: "killed by signal 11 (Segmentation fault)". slot_describe_end adds the reason if the daemon has killed the
 * worker. */
void slot_describe_status(int status, char *text, size_t size);
void slot_describe_end(const struct slot *slot, int status, char *text, size_t size);

#endif
