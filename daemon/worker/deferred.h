/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferred: calls that a method has put off, to be answered during a later call. Each has a number, its tag, and a word on the
 * board's ledger. The word settles without a system call who was first: the class that answers, or the supervisor that gives
 * the call up because its caller has gone.
 *
 * A deferred call gets an answer even when there is no memory for it: room for a short error is set aside when the call is
 * deferred.
 */
#ifndef WORKER_DEFERRED_H
#define WORKER_DEFERRED_H

#include "daemon/worker/direct_channel.h"
#include "daemon/worker/task.h"
#include "proto/timers.h"

struct deferred {
	struct task_handle handle; /* first: the class has it as an objpool_call */
	struct deferrals *deferrals;
	uint64_t tag;
	struct timer wake;
	bool at_work;              /* the class goes on with it; it does not only wait */
	bool given_up;             /* its answer came too late: only the supervisor's GONE is still to come */
	struct task_progress progress;
	char *traceparent;      /* the trace that its call belongs to; NULL: none */
	bool wants_values;         /* the caller takes what it yields */
	uint64_t yielded;          /* bytes that it has yielded and that are not taken */
	uint64_t refused;          /* bytes of a value that was too much; 0: none */
	TAILQ_ENTRY(deferred) link; /* in deferrals->roomy, once there is room for that value */
	bool roomy;
	bool is_direct;            /* it came on a direct channel: the supervisor knows nothing of it. The next four are for that */
	struct direct_channel *channel;  /* NULL: it is a notification, which nobody waits for */
	TAILQ_ENTRY(deferred) of_channel; /* in channel->deferred */
	uint64_t number;           /* of the message, as the supervisor counts them */
	uint32_t msgid;
};

/* The deferred call that the class has as this call, which belongs to no task. */
static inline struct deferred *deferred_of(const struct objpool_call *call)
{
	return container_of(call, struct deferred, handle.call);
}

struct deferrals {
	struct task *task;          /* the instance's */
	struct board *board;
	struct deferred **by_place; /* [LEDGER_ENTRIES], by tag; NULL until the first is deferred */
	uint32_t count;
	uint64_t last_tag;
	struct timers timers;
	uint8_t *answers;           /* whole messages, to go out behind the present task's own */
	size_t answers_size, answers_room;
	bool failed;                /* the answer being written is not whole: there was no memory for the rest */
	struct deferred_list roomy; /* they have been refused a value, and may yield it now */
};

/* The call's task; of a deferred call the instance's, by which it can reach the supervisor. */
static inline struct task *task_behind(const struct objpool_call *call)
{
	struct task *task = task_of(call);
	return task ? task : deferred_of(call)->deferrals->task;
}

void deferrals_init(struct deferrals *deferrals, struct task *task, struct board *board);

/* Frees all of them. The supervisor answers them. */
void deferrals_free(struct deferrals *deferrals);

/* objpool_host.defer */
struct objpool_call *deferred_new(struct objpool_call *call, uint64_t wake_at);

/* objpool_host.answer, for a call of the supervisor's; direct_deferred.h has it for others. */
int deferred_answer(struct deferred *deferred, const void *msgpack, size_t size);

/* Has the call fail if the answer is not one value that may be sent. */
void deferred_check_answer(struct deferred *deferred, const void *value, size_t size);

void deferred_free(struct deferred *deferred);

/* Has the supervisor given the call up? */
bool deferred_is_cancelled(const struct deferred *deferred);

/* By what the supervisor knows it: as the task that runs, until its method returns and DEFERRED is sent. */
uint64_t deferred_id(const struct deferred *deferred);

/* The answers that have been given since the last call of this function. Valid until the next answer is given. */
struct span deferred_answers(struct deferrals *deferrals);

/* objpool_host.at_work */
int deferred_set_at_work(struct objpool_call *call);

/* The tag that the task which has just run got when it deferred itself; 0: it did not. The task forgets the tag. */
uint64_t deferred_take(struct task *task);

/* Is the deferred call of that tag at work? */
bool deferred_is_at_work(const struct deferrals *deferrals, uint64_t tag);

/* Forgets a deferred call whose method has failed after all. */
void deferred_undo(struct deferrals *deferrals, uint64_t tag);

/* The supervisor has said that nobody waits for the call any more. Tells the class, unless it has tried to answer already. */
void deferred_gone(struct deferrals *deferrals, uint64_t tag);

/* The caller has taken so many bytes that the call has yielded. The call may have ended. */
void deferred_taken(struct deferrals *deferrals, uint64_t tag, uint64_t bytes);

/* Does its method still run, so that the supervisor has not been told of it? Then it can't account for bytes that it yields. Says
 * -EAGAIN, and that there is room once the supervisor knows. */
bool deferred_is_in_its_method(const struct deferred *deferred);
int deferred_refuse_until_known(struct deferred *deferred, uint64_t size);

/* May the call yield so many bytes more? */
bool deferred_has_room(const struct deferred *deferred, uint64_t size);

/* Tells the class of deferred calls that have been refused a value and may yield it now. */
void deferred_tell_room(struct deferrals *deferrals);

/* Tells the class of deferred calls whose time to wake has come at `now`. */
void deferred_wake(struct deferrals *deferrals, uint64_t now);

#endif
