/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: one instance of a class, and all that its worker keeps for it. Calls (worker_call.h), items of maps (items.h) and the
 * instance's life (life.h) work on it. The loop (worker_loop.h) reads messages and hands them on.
 */
#ifndef WORKER_HOST_H
#define WORKER_HOST_H

#include "daemon/worker/deferred.h"
#include "daemon/worker/inbox.h"
#include "daemon/worker/invoke.h"
#include "daemon/worker/run.h"
#include "daemon/worker/watch.h"
#include "proto/clock.h"

#include <sys/types.h>

enum { HOST_NAME = 256 };            /* bytes of a method's name, with its NUL */
#define HOST_SHORT_METHOD 50000      /* nanoseconds: answers may wait while such a method runs */
#define HOST_FLUSH_AFTER 200000      /* nanoseconds that a finished answer may wait for the next */

enum host_end {
	HOST_CUT_OFF, /* the channel has ended: the supervisor has gone */
	HOST_STOPPED, /* the supervisor said so; the instance has been destroyed */
	HOST_FAILED,  /* the constructor has failed, and the supervisor knows the reason */
};

struct binding;
struct directs;

struct host {
	pid_t parent;              /* 0: the supervisor */
	struct board *board;
	struct inbox inbox;
	struct reply reply;
	struct task task;
	struct run_method method; /* the last one called */
	char method_name[HOST_NAME];
	uint64_t method_cost;      /* nanoseconds: the longest of late, which decays */
	struct binding *bindings;
	struct deferrals deferrals;
	struct watch watch;        /* what the class has under way beside its methods */
	struct invoker invoker;
	uint64_t now;              /* when the last task ended */
	uint64_t flushed;          /* when the replies were last sent */
	bool starting;             /* READY has not been sent: more calls to replay will come */
	bool ended;
	enum host_end end;
	struct directs *directs;   /* direct channels; NULL: there has been none */
	bool reply_keeps;          /* payloads, for results */
	uint64_t tidied;           /* when what is kept was last looked at */
};

static inline uint64_t host_clock(void)
{
	return (uint64_t)clock_now();
}

/* Claims the batch on the board. False: the supervisor has taken it back. */
bool host_begin_batch(struct host *host, uint32_t id);

/* `count` tasks of the batch have run: says on the board how long each took. */
void host_end_batch(struct host *host, uint32_t id, uint32_t count);

/* [PASSED, id]: the supervisor, which has taken back the batch, or the rest of it, sees that this worker reacts. */
void host_put_passed(struct host *host, uint32_t id);

/* Sends the answers that are finished. */
void host_flush(struct host *host);

/* Sets host->method to the method that the message names. Sends the finished answers first if the method may take long. 0, or -1
 * with the error set. */
int host_find_method(struct host *host, struct span name);

/* Writes the first fields of a message of four. */
void host_put_head(struct host *host, enum from_worker type, uint32_t id, bool nil);
void host_put_nil(struct host *host);

/* [1, msgid; and, with `nil`, the error that is none: the value follows. */
void host_put_response_head(struct host *host, uint32_t msgid, bool nil);

/* Puts the answers that the task has given to deferred calls behind its own answer. */
void host_put_answers(struct host *host);

/* [ITEM_ERROR, id, item, error]: the error is the task's. */
void host_put_item_error(struct host *host, uint32_t id, uint64_t item);

/* [DEFERRED, id, item, tag (, at work?)] */
void host_put_deferred(struct host *host, uint64_t id, uint64_t item);

#endif
