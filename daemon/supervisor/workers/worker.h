/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: the supervisor's side of a slot's process: its channel, board, output and end. Lives as long as its slot; process
 * follows process in it.
 *
 * A process has gone when its status is known: worker_on_exit reads what it had sent, and then tells the core. The end of its
 * channel, which may come before, only has it killed. A thread of a template has no status: it has gone when its channel ends.
 */
#ifndef SUPERVISOR_WORKER_H
#define SUPERVISOR_WORKER_H

#include "daemon/core/records/slot.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/transport/intake.h"
#include "daemon/supervisor/transport/transport.h"
#include "daemon/supervisor/workers/lines.h"
#include "daemon/supervisor/base/loan.h"
#include "daemon/supervisor/base/procfs.h"

/* What slowlog knows of a worker: the task that it has logged. */
struct slowlog_task {
	uint64_t since; /* of its board; 0: there is none */
	uint64_t session;
	char what[192]; /* method and items */
	char trace[80]; /* ", traceparent ..."; "": its call belongs to none */
};

struct worker {
	struct daemon *daemon;
	struct slot *slot;
	TAILQ_ENTRY(worker) link;   /* in its template's waiting or forking */
	struct worker_list *listed;
	TAILQ_ENTRY(worker) dirty_link;
	bool dirty;
	bool kill_wanted;           /* before it had a pid */
	int board_fd;
	char *cgroup;               /* of its process; NULL: it has none */
	struct transport transport;       /* the channel */
	struct intake intake;
	struct loans loans;         /* large results in its memory */
	struct lines *printed[2];   /* from its standard output, and its standard error; NULL: it is a thread */
	uint64_t fork_failed_at;    /* when its fork first failed for want of something; 0: it has not failed */
	uint64_t template_life;     /* template->life when it was forked: which process has forked it */
	uint64_t version;           /* template->version when it was forked: what its instance is made of */
	uint64_t killed_at;         /* 0: its template owes no word of its end */
	struct slowlog_task slow;
	struct procfs_memo procfs;
	bool announced;      /* the log knows that it serves */
	bool kill_told;      /* an event tells that it is killed */
	uint64_t said_before; /* number of the last line that was printed before its present process */
};

static inline struct worker *worker_of(const struct slot *slot)
{
	return slot->owner;
}

/* core_ops: the slot's. */
int worker_make(struct slot *slot);
void worker_start(struct slot *slot);
void worker_kill(struct slot *slot);
void worker_nudge(struct slot *slot);
void worker_on_wrote(struct slot *slot);
void worker_free(struct slot *slot);

/* Moves the worker to another list of its template. NULL: it is in none. */
void worker_move(struct worker *worker, struct worker_list *to);

/* The template has been told to end the worker: it owes word of the end. */
void worker_expect_end(struct worker *worker);

/* Opens the descriptors that a new process or thread gets (the caller closes all but the board), and the supervisor's ends. Those
 * that it does not get are -1. 0 or a negative errno. */
int worker_open(struct worker *worker, int fds[FORK_FILES]);

/* Closes the supervisor's ends of what worker_open has opened, but for the board: the process has gone, or has not come. */
void worker_close(struct worker *worker);

/* The template has forked it; or can't, for this reason. Called from the loop only, and not from within the core. */
void worker_on_forked(struct worker *worker, pid_t pid);
void worker_on_refused(struct worker *worker, const char *reason);

/* What the worker's process uses, as of half a second ago at most. */
struct procfs worker_usage(const struct slot *slot);

/* The same as it was last read; all 0: it was not. */
struct procfs worker_last_usage(const struct slot *slot);

/* The process, or the thread, has ended: takes in what it had sent, and tells the core (slot_on_gone). */
void worker_on_exit(struct worker *worker, int status);

/* After each turn of the loop. */
void worker_flush(struct worker *worker);

#endif
