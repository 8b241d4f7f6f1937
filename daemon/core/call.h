/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: one RPC on a pool. It becomes tasks, numbered from 0; tasks that follow each other and go to a worker together
 * are a batch. A plain call is one batch of one task; `all` and `scatter` are one batch per slot; a map is one long
 * batch that waits, and from whose front the scheduler cuts as much as a worker should have.
 *
 *   waiting in a queue --handed--> with a slot --answered--> gone
 *        ^------- taken back ---------'
 *
 * What always holds: every task is in exactly one batch, or has been answered; `left` counts the tasks that haven't; the
 * ticket is closed exactly once. A call that has been answered early (deadline, cancel, first error) drops its waiting
 * batches at once and lives on until its last handed batch has come back. It leaves pool->calls and is freed when the event that
 * ended it is over (core_end_event).
 */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include "daemon/core/client.h"
#include "daemon/core/gather.h"
#include "daemon/core/input.h"
#include "daemon/core/sticky.h"
#include "daemon/core/stream.h"
#include "daemon/core/target.h"
#include "daemon/core/yield.h"
#include "proto/channel.h"

#ifdef __SANITIZE_ADDRESS__
#define CALL_SPARE 0 /* the sanitizer finds a use after free only when memory is freed */
#else
#define CALL_SPARE 4096
#endif

enum {
	CALL_COLUMNS = 1024, /* arguments that a map can zip */
	CALL_SMALL = 192,    /* bytes of a request up to which the memory of its call is used again (CALL_SPARE calls) */
	CALL_FILE = 1 << 20, /* bytes that a descriptor counts for in max_pending */
};

enum errors { ERRORS_WAIT, ERRORS_FIRST, ERRORS_COLLECT };

struct batch {
	TAILQ_ENTRY(batch) link; /* in a flow, in slot->handed, in slot->deferred or in input->items */
	TAILQ_ENTRY(batch) of_call; /* in call->parts; `only` isn't */
	struct ending ending;
	struct call *call;
	struct flow *flow;       /* waits here; NULL: handed, deferred, or on its way */
	uint64_t tag;            /* deferred by its method, and known to the slot's worker by this; 0: not */
	struct slot *slot;       /* has been handed it, or (addressed) must be */
	bool addressed;          /* to that slot alone */
	bool embedded;           /* is the call's `only` */
	uint8_t returned;        /* from workers that died when it was next, and had not begun it */
	uint64_t first;          /* task; the others follow */
	uint32_t count;          /* tasks */
	uint32_t done;           /* of them, answered */
	uint32_t id;             /* on the slot's channel, while handed */
	uint64_t estimate;       /* nanoseconds that it is thought to take */
	struct block *block;     /* of fed items: keeps them alive; NULL: the call does */
	uint64_t bytes;          /* theirs, counted in call->size */
	const uint8_t *at[];     /* per column, where item `first` begins */
};

TAILQ_HEAD(call_list, call);

struct call {
	struct ticket ticket;
	TAILQ_ENTRY(call) link; /* in pool->calls, until it is freed */
	struct ending ending;
	struct pool *pool;
	struct method *method;
	enum select select;
	enum errors errors;
	enum shape shape;
	bool idempotent;
	bool small;             /* its room is CALL_SMALL: goes to core->spare_calls */
	bool answered;          /* the ticket is closed or the client gone */
	bool put_off;           /* a task of it has been deferred: it has run */
	uint8_t reruns;
	uint32_t chunk;         /* items in a batch; 0: as the scheduler thinks */
	uint64_t session;
	uint64_t began;         /* when it came */
	uint64_t deadline;      /* 0: none */
	struct timer timer;
	uint64_t size;          /* counted in client->pending */
	struct account *account; /* its client's; still valid when the client has gone */
	size_t memory;          /* bytes charged to `account` for this structure */

	struct block *block;    /* keeps the spans below alive; NULL: they lie behind this structure */
	struct block *merged;   /* of a single call with bind: keeps args and kwargs alive */
	struct span name;
	struct span args;       /* an array, whole; of a map: unused */
	struct span kwargs;     /* a map, whole; size 0: none */
	uint32_t columns;       /* of a map or scatter; positional, then keyword */
	uint32_t kwcolumns;     /* how many of them are keywords' */
	struct span *keys;      /* the keywords, packed */
	uint32_t binding;       /* 0: none */
	struct span bind, bind_kwargs;

	uint64_t total, left;   /* tasks so far; those of them without a result */
	uint32_t batches;       /* alive */
	struct batch_list parts; /* these, wherever they are, but for `only` */
	struct gather gather;   /* of all, map and scatter, unless it streams */
	struct input input;     /* of a map whose items are not all queued at once */
	struct stream stream;   /* results that leave one by one */
	enum sticky_mode sticky;
	struct sticky *remembered; /* NULL: it isn't (any more) */
	uint64_t refused;       /* of a sticky call: tasks that their methods have failed */
	struct yield yield;     /* of a single call that streams */
	bool progress;          /* its caller wants to know how far it is */
	uint64_t progress_at;   /* when it was last told */
	struct batch only;      /* the first batch of a call that is one task; last: flexible */
};

/* A new call for a request: keeps its bytes (a reference when they are many and lie in `block`, else a copy) and makes
 * rpc's spans point at what it keeps. It has no ticket, pool or tasks yet. NULL: out of memory. */
struct call *call_new(struct client *client, struct rpc *rpc, struct block *block);

/* Drops a call that has not begun. */
void call_free(struct call *call, struct core *core);

/* core_free's. */
void call_free_spare(struct core *core);

/* Opens its ticket, sets its timer, makes its batches and queues or hands them out. The columns of a map or scatter begin at
 * at[0 .. columns - 1]. 0; -EEXIST: the msgid is in use; -ENOMEM: no memory for its ticket. In both cases the call has been
 * freed. */
int call_begin(struct call *call, struct client *client, const struct rpc *rpc, const uint8_t *const *at);

/* Is its result an array of its tasks' values? */
static inline bool call_gathers(const struct call *call)
{
	return call->select == SELECT_ALL || call->select == SELECT_MAP || call->select == SELECT_SCATTER;
}

/* A call of the method "" is the daemon's own, to see whether a worker answers: see probe.h. It is not counted. */
static inline bool call_is_probe(const struct call *call)
{
	return call->name.size == 0;
}

/* Answers from a worker for the tasks of a handed batch, in order. `values` are `count` packed values. */
void call_on_values(struct batch *batch, uint32_t count, struct span values, struct block *block);
void call_on_failure(struct batch *batch, uint64_t index, struct error *error);

/* The running task tells how far it is: [done, total or nil, text or nil]. */
void call_on_progress(const struct call *call, struct span values);

/* objpool.feed: `count` items for a call whose input is open; objpool.feed_end: there are no more, because `why` if it isn't
 * NULL (then it has no message of its own lifetime). */
void call_feed(struct call *call, uint32_t count, struct span items, struct block *block);
void call_feed_end(struct call *call, struct error *why);

/* Fails the call as a whole: answers now, lets go of its tasks. Where `why` says that it has not run, and a task of it may have, the
 * answer says "maybe". */
void call_fail(struct call *call, const struct error *why);

/* May its tasks be run again, after their worker died? Counts. */
bool call_rerun(struct call *call);

/*
 * Its caller gives it up: takes back what no worker has begun, and cancels it if it is one task. What came of that: nothing has
 * begun; some has; or its answer is on its way, for the method has committed itself to it (objpool_commit).
 */
enum revoked { REVOKED, REVOKED_RUNNING, REVOKED_TOO_LATE };
enum revoked call_revoke(const struct call *call);

/* The call that the ticket belongs to; NULL when it is none's. */
struct call *call_of_ticket(struct ticket *ticket);

/* The next task of the handed batch that has no answer was deferred: takes it out, as a batch of its own. NULL: out of memory. */
struct batch *batch_defer(struct batch *batch);

/* Undoes batch_defer(batch), which returned `one`. */
void batch_undefer(struct batch *batch, struct batch *one);

/* A new batch of `count` tasks from `first` on, whose items begin at at[0 .. columns - 1]. NULL: out of memory. */
struct batch *batch_new(struct call *call, uint64_t first, uint32_t count, const uint8_t *const *at);

/* One that never came to be queued, or isn't any more: frees it. The call stays. */
void batch_free(struct batch *batch);

/* Makes a batch of `count` tasks from the front of a waiting one, which keeps the rest. NULL: out of memory. */
struct batch *batch_cut(struct batch *waiting, uint32_t count);

/* Splits `batch` after its first `kept` tasks: `rest`, a copy of it made by batch_new, gets the others. */
void batch_split(struct batch *batch, uint32_t kept, struct batch *rest);

/* The batch is over, whatever became of its tasks. With its last batch the call may end, too. */
void batch_end(struct batch *batch);

/* For a batch that is in no queue and in no slot's hands: fails each of its tasks that has no answer yet, and ends it. */
void batch_fail(struct batch *batch, const struct error *why);

/* Where item `count` after `at` begins. */
const uint8_t *items_skip(const uint8_t *at, uint32_t count);

#endif
