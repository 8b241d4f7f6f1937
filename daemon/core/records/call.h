/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: one RPC on a pool. A call becomes tasks, numbered from 0. Tasks that follow each other and go to a worker together are
 * a batch. A plain call is one batch of one task. `all` and `scatter` are one batch per slot. A map is one long batch that
 * waits, and the scheduler cuts as much from its front as a worker should have. Here calls and batches are made, cut and
 * freed. call_life.h begins and ends a call, call_answer.h answers it.
 *
 *   waiting in a queue --handed--> with a slot --answered--> gone
 *        ^------- taken back ---------'
 *
 * What always holds: every task is in exactly one batch, or has been answered. `left` counts the tasks that have not been
 * answered. The ticket is closed exactly once. A call that is answered early (deadline, cancel, first error) drops its waiting
 * batches at once, and lives on until its last handed batch has come back. It leaves pool->calls and is freed when the event
 * that ended it is over (core_end_event).
 */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include "daemon/core/records/client.h"
#include "daemon/core/records/gather.h"
#include "daemon/core/records/stream.h"
#include "daemon/core/records/target.h"
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
	TRAIN_CALLS = 64,    /* passengers of a train, at most */
	TRAIN_REQUEST = 1 << 10,  /* bytes of a request that travels in a train, at most */
	TRAIN_REQUEST_MIN = 5,    /* bytes of a request, beside its method, at least */
	CALL_PRIORITY_STICKY = 0, /* of sticky calls: each instance must get them in the order in which they came */
};

enum errors { ERRORS_WAIT, ERRORS_FIRST, ERRORS_COLLECT };
enum sticky_mode { STICKY_NO, STICKY_REPLACE, STICKY_APPEND };

struct method;
struct pool;
struct slot;
struct sticky;

struct batch {
	TAILQ_ENTRY(batch) link; /* in a flow, in slot->handed, in slot->deferred or in input->items */
	TAILQ_ENTRY(batch) of_call; /* in call->parts; `only` isn't */
	struct ending ending;
	struct call *call;
	struct flow *flow;       /* where it waits; NULL: it is handed, deferred, or on its way */
	uint64_t tag;            /* by which the slot's worker knows a deferred task; 0: it is not deferred */
	struct slot *slot;       /* the slot that has it, or (addressed) that must get it */
	bool addressed;          /* only that slot may get it */
	bool at_work;            /* it is deferred, and its instance does something for it: it does not only wait */
	bool embedded;           /* it is the call's `only` */
	uint8_t returned;        /* how many workers died when it was their next batch, and had not begun it */
	uint64_t first;          /* number of its first task */
	uint32_t count;          /* tasks */
	uint32_t done;           /* of these, answered */
	uint32_t id;             /* on the slot's channel, while it is handed */
	uint32_t promised;       /* while it is handed: tasks of it that its slot may put off and be at work on */
	uint64_t estimate;       /* nanoseconds that it is estimated to take */
	struct block *block;     /* holds its fed items; NULL: the call holds its items */
	uint64_t bytes;          /* of these fed items, counted in call->size */
	const uint8_t *at[];     /* per column, where item `first` begins */
};

TAILQ_HEAD(batch_list, batch);

/* The items of a map that are not all queued at once: see input.h. */
struct input {
	bool on;                  /* items wait here, not in the queue */
	bool fed;                 /* the client feeds them (objpool.feed) */
	bool open;                /* more may be fed */
	bool sync;                /* they run in rounds of one item per slot */
	bool busy;                /* items are being queued */
	bool held;                /* results before their turn take too much memory: only the item that they wait for may go on */
	uint32_t window;          /* how many items may be accepted and unanswered; 0: by the pool's size and the method's pace */
	struct batch_list items;  /* that are not queued yet */
	uint64_t count;           /* how many items are in `items` */
	uint64_t granted;         /* credit given so far */
	uint64_t released;        /* items queued so far */
	uint64_t bytes;           /* of all that were fed */
	uint64_t round;           /* items of this round that have no result */
	uint32_t round_size;      /* items of this round */
	uint32_t round_at;        /* items of this round that are queued */
};

/* Values that a method yields: see yield.h. */
struct yield {
	bool on;                  /* the method yields: the yielded values are the call's results */
	struct batch *batch;      /* the batch that yields; NULL: none has yielded, or it has ended */
	uint64_t owed;            /* bytes that have come, and that the worker was not told have been taken */
	struct client *waits_for; /* the client, in whose `yielding` the call is; NULL: the call is in no such list */
	TAILQ_ENTRY(call) link;
};

struct call {
	struct ticket ticket;
	struct core *core;
	TAILQ_ENTRY(call) link; /* in pool->calls, until it is freed */
	struct ending ending;
	struct pool *pool;
	struct method *method;
	enum select select;
	enum errors errors;
	enum shape shape;
	bool idempotent;
	bool labels;            /* each result has its host and slot before it */
	bool small;             /* it has CALL_SMALL bytes behind it: call_free keeps its memory in core->spare_calls */
	bool inside;            /* over nested calls, a method of its own pool waits for it: it runs also while the pool is paused */
	bool answered;          /* the ticket is closed, or the client has gone */
	bool lingers;           /* it was answered while a task of it ran on: its client's quota counts it */
	bool put_off;           /* a task of the call has been deferred: so it has run */
	bool prioritized;       /* its caller has given a priority */
	int8_t priority;        /* once it has begun: as its user's max_priority allows */
	uint8_t reruns;
	uint32_t chunk;         /* items in a batch; 0: the scheduler decides */
	uint64_t session;
	uint64_t began;         /* when it came */
	uint64_t deadline;      /* 0: none */
	struct timer timer;
	uint64_t size;          /* bytes, counted in client->pending */
	struct account *account; /* of its client; valid also when the client has gone */
	struct rights *rights;  /* that its client had when it came, for the calls that its method makes; NULL: everything */
	size_t memory;          /* bytes charged to `account` for this structure */

	struct block *block;    /* holds the bytes of the spans below; NULL: they lie behind this structure */
	struct block *merged;   /* of a single call with bind: holds args and kwargs */
	struct span name;       /* of the method */
	struct span args;       /* a whole array; a map doesn't use it */
	struct span kwargs;     /* a whole map; size 0: none */
	uint32_t columns;       /* of a map or scatter: positional columns, then keyword columns */
	uint32_t kwcolumns;     /* how many columns are of keywords */
	struct span *keys;      /* the keywords, packed */
	uint32_t binding;       /* number of what workers keep of bind and bind_kwargs; 0: none */
	struct span bind, bind_kwargs;
	char *traceparent;      /* the trace that it belongs to: see call_trace_by; NULL: none */

	uint64_t total, left;   /* tasks so far; tasks that have no result */
	uint32_t batches;       /* how many batches it has */
	uint32_t queued;        /* how many of them are in queues */
	struct batch_list parts; /* all its batches but `only`, wherever they are */
	struct train *train;    /* it stands for several plain calls: see below. NULL: it is one call */
	struct gather gather;   /* of all, map and scatter; of a stream, the first failure. Set up by call_collect */
	struct input input;     /* of a map whose items are not all queued at once */
	struct stream stream;   /* results that leave one by one. Set up by call_collect */
	enum sticky_mode sticky;
	struct sticky *remembered; /* NULL: the pool doesn't remember the call, or not any more */
	uint64_t refused;       /* of a sticky call: how many tasks have failed by their method or its arguments */
	struct yield yield;     /* of a single call that streams */
	bool progress;          /* its caller wants progress */
	uint64_t progress_at;   /* when progress was last sent */
	struct batch only;      /* the batch of a call that is one task. It is last, as a batch may be flexible */
};

/*
 * A train: plain calls (pool.method with arguments, no options) of one client on one method that came in one read. They share
 * a struct call, which has one task for each of them. Their requests go to workers verbatim. Each plain call is a passenger:
 * it has a ticket of its own and is answered by itself (passengers.h). The common case costs much less than as many single
 * calls; a failure, a cancel or the death of a worker costs more.
 *
 *   the client's bytes:   [0, 7, "p.m", [..]] [0, 8, "p.m", [..]] [0, 9, "p.m", [..]]
 *   passengers:            ^ at, size          ^                   ^
 *   tasks of the call:     0                   1                   2
 */
struct passenger {
	struct ticket ticket; /* ticket.client is NULL once the plain call has been answered, or its client has gone */
	struct call *call;
	uint32_t at, size;    /* where its request lies in train->bytes */
};

struct train {
	const uint8_t *bytes; /* the requests, one behind the other */
	uint32_t count;
	struct passenger passengers[];
};

/* The number of its task. */
static inline uint32_t passenger_index(const struct passenger *passenger)
{
	return (uint32_t)(passenger - passenger->call->train->passengers);
}

/* A new call for a request. It keeps the request's bytes: a reference when they are many and lie in `block`, else a copy. The
 * spans of `rpc` point at these bytes then. The call has no ticket, pool or tasks yet. NULL: out of memory. */
struct call *call_new(struct client *client, struct rpc *rpc, struct block *block);

/* A new call without a request's bytes, with `room` bytes behind its structure. NULL: out of memory. */
struct call *call_new_with(struct client *client, size_t room);

/* Notes to which trace the call belongs: `text` is a traceparent (proto/traceparent.h). 0 or -ENOMEM. */
int call_trace_by(struct call *call, const void *text);

/* Frees a call that has no batches. */
void call_free(struct call *call);

/* Is the call's result an array of its tasks' values? */
static inline bool call_gathers(const struct call *call)
{
	return call->select == SELECT_ALL || call->select == SELECT_MAP || call->select == SELECT_SCATTER;
}

/* Are its results collected, in `gather` or `stream`? The result of any other call is its answer. */
static inline bool call_collects(const struct call *call)
{
	return call_gathers(call) || call->stream.on;
}

/* The call has been answered. As long as it has batches, its user's quota counts it. */
void call_linger(struct call *call);

/* Sets up `gather` and `stream`, once the request's options have been read. */
void call_collect(struct call *call);

/* Frees the results that the call has collected and not sent. */
void call_drop_results(struct call *call);

/* Is the call one task, whose batch is `only`? */
static inline bool call_is_single(const struct call *call)
{
	return !call_gathers(call) && !call->train;
}

/* Does the caller take values that the method yields one by one? */
static inline bool call_takes_yields(const struct call *call)
{
	return call->stream.on && !call_gathers(call);
}

/* Is it the daemon's own call of the method "" (probe.h)? Such calls are not counted. */
static inline bool call_is_probe(const struct call *call)
{
	return call->name.size == 0;
}

/* A new batch of `count` tasks from number `first` on. Their items begin at at[0 .. columns - 1]. NULL: out of memory. */
struct batch *batch_new(struct call *call, uint64_t first, uint32_t count, const uint8_t *const *at);

/* Does anybody wait for a task of the batch that has no answer? */
bool batch_is_wanted(const struct batch *batch);

/* The batch of a call that is one task. */
struct batch *batch_of_single(struct call *call);

/* Frees a batch that is in no list. The call stays. */
void batch_free(struct batch *batch);

/* Cuts `count` tasks off the front of a batch that waits, as a batch of their own. NULL: out of memory. */
struct batch *batch_cut(struct batch *waiting, uint32_t count);

/* Splits `batch` after its first `kept` tasks. The other tasks go to `rest`, which batch_new has made with all tasks of
 * `batch`. */
void batch_split(struct batch *batch, uint32_t kept, struct batch *rest);

/* Takes the tasks that have been answered out of the batch. */
void batch_drop_done(struct batch *batch);

/* The next task of the handed batch has been deferred: takes it out, as a batch of its own. NULL: out of memory. */
struct batch *batch_defer(struct batch *batch);

/* Undoes batch_defer(batch), which returned `one`. */
void batch_undefer(struct batch *batch, struct batch *one);

/* Ends a batch that is in no list. When its last batch ends, the call may end, too. */
void batch_end(struct batch *batch);

/* The worker is not told any more that the batch may yield: its method has ended, or its worker has gone. */
void batch_end_yield(const struct batch *batch);

/* Skips `count` packed items from `at` on, and returns where the next item begins. */
const uint8_t *items_skip(const uint8_t *at, uint32_t count);

/* Where the item begins that comes `count` items after the batch's first item in that column. */
const uint8_t *batch_item(const struct batch *batch, uint32_t column, uint32_t count);

/* A core_trace line about a call. A call that a method makes is shown with the session for which the first method runs. */
#define call_trace(call, slot, format, ...)                                                                                      \
	core_trace((call)->core, (call)->pool, slot, "session %llu %s %u, %.*s: " format, (unsigned long long)(call)->session,   \
		   (call)->ticket.notification ? "notification" : "call", (call)->ticket.msgid, SPAN_TEXT((call)->name, 100),    \
		   __VA_ARGS__)

#endif
