/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: what the supervisor, a pool's template and its workers say to each other. Messages are msgpack. A caller's values are
 * passed on as they came.
 *
 * Supervisor and worker share a stream socket, on descriptor CHANNEL_FD of the worker, and a page of memory, the board.
 *
 *   to the worker                                            from the worker
 *   [START, supervisor pid, pool, slot, slots, generation,   [READY] or [READY, error]
 *           args, kwargs, slot kwargs, max result, replay,
 *           more?]
 *   [REPLAY, replay, more?]                                  [REPLAYING, method]
 *   [CALL, id, session, method, args                         [REPLY, id, error, value]
 *          (, deadline, kwargs, flags (, traceparent))]      [PROGRESS, id, done, total, text]
 *   [BIND, binding, args, kwargs]
 *   [UNBIND, binding]
 *   [ITEMS, id, session, method, deadline, binding or 0,     [RESULTS, id, item, [value, …]]
 *           shape, first item, count, columns, kw columns    [ITEM_ERROR, id, item, error]
 *           (, traceparent)]
 *   [STOP, want its state?]                                  ([STATE, state] or [STATE, nil, error], then) end of file
 *   [LEASE, session]                                         [LEASED] or [LEASED, error]
 *   [RELEASE, session]
 *   [TAKEN, id, bytes]                                       [YIELD, id (, value)]
 *   [RESULT, response]                                       [INVOKE, id, method string, args (, traceparent)]
 *   [RESTORE, state]                                         [RESTORED] or [RESTORED, error]
 *   [GONE, tag]                                              [DEFERRED, id, item, tag (, at work?)]
 *   [SESSION_END, session]                                   [ANSWER, tag, error, value]
 *                                                            [PASSED, id]
 *   [CALLS, id, session, method, first item, count,          [RESULTS, id, item, [response, …]]
 *           [request, …]]                                    [ITEM_ERROR, id, item, error]
 *   [FILES, [number, …]]  + as many descriptors              [PAYLOAD, id, place, offset, length, touched]  + 1 descriptor
 *   [ATTACH, place, session, error form, tell every,         [DETACHED, place, protocol error?]
 *           stop_timeout, rings?]                            [COUNTED]
 *   [DETACH, place, reason]
 *   [DROP, place, number]
 *
 * CALL      A call of the method "" only asks whether the worker reacts. It is answered [REPLY, id, nil, nil]; the class does
 *           not hear of it.
 * ITEMS     `columns` is an array of arrays of `count` values, `kw columns` a map of such arrays. The answers come in item
 *           order; after a crash the values that were finished still arrive. The supervisor can take back the items of a batch
 *           that have not begun (`items` on the board): then the batch ends before them.
 * CALLS     A train: plain calls of one session, as they came. Its values are whole requests of MessagePack-RPC; those of its
 *           RESULTS are whole responses. A value that has become large comes as PAYLOAD: it is the next item's.
 * PASSED    The worker has skipped a batch, or its last items, because the supervisor has taken it back. This shows that the
 *           worker reacts. If the supervisor has not taken the batch back, somebody has overwritten the board.
 * START     `replay` is an array of [method, args, kwargs]: sticky calls, for whose results nobody waits. `more?` says that a
 *           REPLAY with the next calls will follow, as soon as the worker has begun most of these. READY comes after the last.
 * REPLAYING A call of `replay` begins. The first one, if it comes before READY, also tells that the constructor is done.
 * RESTORE   If it fails, the supervisor sends the calls to replay instead. No task comes before all this.
 * INVOKE    A method makes a call while batch `id` runs. The response is a response of MessagePack-RPC. `traceparent`: that of the
 *           call that makes it, unless the call says another.
 * YIELD     Gives one value, or none, of batch `id`, a call that streams. The worker waits while it is more than YIELD_AHEAD
 *           bytes ahead of what TAKEN has told of that batch.
 * DEFERRED  The task leaves its batch. From then on its tag stands for it. `at work?`: the instance does something for it, and does
 *           not only let it wait. PROGRESS, YIELD, TAKEN and INVOKE name it by the id
 *           TASK_DEFERRED + tag. The worker sends a YIELD of it only if that keeps within YIELD_AHEAD. If the supervisor has given
 *           the task up, it drops what still comes of it, and answers an INVOKE with an error.
 * ATTACH    Opens a direct channel (proto/direct.h); the FILES before it has its socket. After each `tell every` calls of direct
 *           channels the worker says COUNTED, so that the supervisor looks at the counts; 0: never. It says so, too, when the
 *           memory that its channels take has changed by DIRECT_HELD_TOLD. `rings`: the worker offers the client rings
 *           (proto/rings.h).
 * DETACH    The worker tells the client the reason (objpool.closing), answers what it sends until it shuts down its sending side,
 *           for `stop_timeout` nanoseconds at most, and closes the channel. With the reason "" nobody is there to be told or
 *           answered: the worker closes it once it has carried out the notifications that have arrived.
 * DROP      A message of a direct channel is cancelled that has ended. If its answer was put off, nobody waits for it any more.
 * DETACHED  The channel is closed: after DETACH, or since the client has closed it, or broken the protocol.
 * INVOKE    of a method that a message of a direct channel has called: the id is INVOKE_DIRECT + the channel's place.
 * error     [code, message, type, traceback, data, ran], with nil for what is missing.
 *
 * Large values travel beside the socket, in sealed memfds. Their descriptors come with the bytes of their message or before them,
 * in order.
 *
 * FILES     Numbers the files of the next message. In that message an ext PAYLOAD_VALUES (proto/payload_ref.h) stands in the
 *           place of args, of kwargs, or of a column's array (then the file has `count` packed values). An ext PAYLOAD_BYTES
 *           stands for a bin or an ext, if the message has files of the caller (their numbers are below PAYLOAD_SELF).
 * PAYLOAD   A REPLY whose value lies in the worker's memory. `lent` below says for how long.
 *
 * Supervisor and template share a SOCK_SEQPACKET socket, one message a packet. FORK carries the descriptors of enum fork_file.
 *
 *   [LOAD, build, pool, plugin path, class, args, kwargs,    [LOADED, description] or [LOADED, nil, error]
 *          threads?, settings, cage]
 *   [CHECK, (as LOAD,) slot kwargs, preload?, whole?, all?]  [FAULT, kind, text]…, [LOADED] or [LOADED, nil, error]
 *   [FORK, slot, generation]  + 4 or 5 descriptors                [FORKED, slot, generation, pid or -errno]
 *   [KILL, pid]                                              [EXITED, pid, status]
 *
 * LOAD      `build` is CHANNEL_BUILD of the Makefile: a template of another build refuses the class. `settings` is a map: what a
 *           plugin may ask for by name. `cage` is nil, or the map of
 *           proto/cage.h. args, or kwargs, is nil if it is too large for a packet.
 * CHECK     For `objpoold --check`: comes instead of LOAD, and ends the template. `slot kwargs` is nil or an array of maps.
 *           `whole?`: args and all kwargs are there; none of them was too large for a packet. `all?`: instead of the class, all
 *           classes of the plugin are checked, and each thing that is wrong is a FAULT.
 * FORK      With `threads?` it starts a thread of the template, and the pid is the template's.
 * KILL      This and EXITED are only for a template that is a fork of a client's program. It is the parent of its workers: it
 *           kills them when it is told to, and tells how they have ended. `status` is as waitpid gives it.
 */
#ifndef PROTO_CHANNEL_H
#define PROTO_CHANNEL_H

#include "proto/direct.h"

enum { CHANNEL_FD = 3 };
/* The last argument of a template's command line: the room that titles need beside the pool's name (daemon/worker/title.h). */
#define COMMAND_LINE_ROOM "                                                "
enum { CALL_PROGRESS = 1, CALL_YIELDS = 2 }; /* flags of CALL: what its caller takes */
enum { YIELD_AHEAD = 1 << 20 };

enum to_worker {
	TO_START = 0,
	TO_CALL = 1,
	TO_BIND = 2,
	TO_UNBIND = 3,
	TO_ITEMS = 4,
	TO_STOP = 5,
	TO_GONE = 6,
	TO_SESSION_END = 7,
	TO_REPLAY = 8,
	TO_RESTORE = 9,
	TO_LEASE = 10,
	TO_RELEASE = 11,
	TO_RESULT = 12,
	TO_FILES = 13,
	TO_TAKEN = 14,
	TO_CALLS = 15,
	TO_ATTACH = 16,
	TO_DETACH = 17,
	TO_DROP = 18
};
/* A message of results ends once it has so many bytes of values: it is no longer than this and one more value. */
enum { RESULTS_AHEAD = 64 << 10 };

enum from_worker { FROM_READY = 0, FROM_REPLY = 1, FROM_RESULTS = 2, FROM_ITEM_ERROR = 3, FROM_PROGRESS = 4, FROM_DEFERRED = 5,
		   FROM_ANSWER = 6, FROM_STATE = 7, FROM_RESTORED = 8, FROM_LEASED = 9, FROM_INVOKE = 10, FROM_PAYLOAD = 11,
		   FROM_YIELD = 12, FROM_PASSED = 13, FROM_REPLAYING = 14, FROM_DETACHED = 15, FROM_COUNTED = 16 };
#define INVOKE_DIRECT (UINT64_C(1) << 32) /* batches' ids are lower */
#define TASK_DEFERRED (UINT64_C(1) << 33)
enum fork_file {
	FORK_CHANNEL, /* the worker's end of its socket */
	FORK_BOARD,
	FORK_OUTPUT,  /* becomes its standard output. A thread gets the two before this one alone */
	FORK_ERRORS,  /* becomes its standard error */
	FORK_CGROUP,  /* where the worker writes "0" to enter its cgroup. Only of a pool with memory_max */
	FORK_FILES    /* how many there are at most */
};
enum to_template { TO_LOAD = 0, TO_FORK = 1, TO_KILL = 2, TO_CHECK = 3 };
enum from_template { FROM_LOADED = 0, FROM_FORKED = 1, FROM_EXITED = 2, FROM_FAULT = 3 };
enum fault_kind { FAULT_NOTE = 0, FAULT_WARNING = 1, FAULT_ERROR = 2 };

/* How an item becomes arguments. */
enum shape { SHAPE_ZIP = 0, SHAPE_SINGLE = 1, SHAPE_POSITIONAL = 2, SHAPE_KEYWORD = 3, SHAPE_BOTH = 4 };

/*
 * The board: one entry for each batch that the worker has been handed, found by the batch's id. Its state settles without a
 * system call who was first: the worker that starts a batch, or the supervisor that takes it back. It also tells a method that
 * its caller has gone, and, when the worker has died, which batches had begun.
 *
 *     HANDED --worker--> STARTED --supervisor--> CANCELLED <---.
 *        |                  |                                  supervisor, when the client goes
 *        |                  `------worker------> COMMITTED ----'    (otherwise its answer counts, whoever gives it up)
 *        `---supervisor--> REVOKED (the worker skips it)
 *
 * In a train STARTED, CANCELLED and COMMITTED are of the call that the word names: the last one that has begun.
 */
enum { BOARD_ENTRIES = 1024 };
enum board_state { BOARD_HANDED = 1, BOARD_STARTED = 2, BOARD_CANCELLED = 3, BOARD_REVOKED = 4, BOARD_COMMITTED = 5 };

struct board_entry {
	_Atomic uint64_t word;   /* call of a train << 40 | id << 8 | state */
	_Atomic uint64_t items;  /* id << 48 | limit << 24 | begun: see board_begin_item */
	_Atomic uint32_t spent;  /* time in the method, per item of the batch: see board_spent */
};

/*
 * The ledger: one word per deferred task, found by its tag.
 *
 *     DEFERRED --worker--> ANSWERED (the answer is on its way)
 *         `---supervisor--> CANCELLED (nobody waits; GONE is on its way)
 */
enum { LEDGER_ENTRIES = 1 << 17 }; /* twice as many as may be deferred at once */
enum ledger_state { LEDGER_DEFERRED = 1, LEDGER_ANSWERED = 2, LEDGER_CANCELLED = 3 };

/*
 * The results in its own memory that a worker has lent to the supervisor. The worker fills the memory again once the supervisor
 * has given it back. One word for each place:
 *
 *     FREE --worker--> OUT --supervisor--> FREE
 *                       |-----supervisor--> SHOWN: a client has the descriptor: only that session's results go there
 *                       `-----supervisor--> LOST: a client may look at it for ever; the worker does not use it again
 *
 * `touched` is how many bytes of the file were ever filled, also by results of other clients, which a client must not see.
 */
enum { LENT_PLACES = 8 };
enum lent_state { LENT_FREE = 0, LENT_OUT = 1, LENT_LOST = 2, LENT_SHOWN = 3 };

struct board {
	_Atomic uint64_t since;   /* CLOCK_MONOTONIC nanoseconds when the running batch, or direct message, began; 0: idle */
	_Atomic uint32_t running; /* the id of that batch; of no meaning while direct.word says that a direct message runs */
	_Atomic uint64_t step;    /* when the class's `ready` began, in which deferred tasks go on; 0: it does not run */
	_Atomic uint32_t nudge;   /* a futex: the supervisor wants the finished answers now, although the next task runs */
	_Atomic uint32_t nudged;  /* the last `nudge` that the worker's thread has seen. If both are equal, the process runs */
	_Atomic uint64_t payload_min; /* a result of so many bytes and more travels beside the socket; 0: none does */
	_Atomic uint64_t lent[LENT_PLACES];
	struct board_entry entries[BOARD_ENTRIES];
	_Atomic uint64_t ledger[LEDGER_ENTRIES]; /* tag << 8 | state; its pages exist once they are used */
	struct direct_board direct;
};

static inline struct board_entry *board_entry(struct board *board, uint32_t id)
{
	return &board->entries[id % BOARD_ENTRIES];
}

/* A duration in 32 bits. From two seconds on it is in units of 2^16 nanoseconds, with the highest bit set: up to 39 hours. */
static inline uint32_t board_spent(uint64_t nanoseconds)
{
	const uint64_t max = INT32_MAX, units = nanoseconds >> 16;
	return nanoseconds <= max ? (uint32_t)nanoseconds : UINT32_C(1) << 31 | (uint32_t)(units < max ? units : max);
}

static inline uint64_t board_nanoseconds(uint32_t spent)
{
	return spent >> 31 ? (uint64_t)(spent & INT32_MAX) << 16 : spent;
}

static inline uint64_t board_word(uint32_t id, enum board_state state)
{
	return (uint64_t)id << 8 | state;
}

static inline enum board_state board_state_in(uint64_t word)
{
	return (enum board_state)(word & 0xff);
}

/* Moves batch `id` from one state to another. False: it was not in the first any more. */
static inline bool board_move(struct board *board, uint32_t id, enum board_state from, enum board_state to)
{
	_Atomic uint64_t *word = &board_entry(board, id)->word;
	uint64_t now = atomic_load_explicit(word, memory_order_acquire);

	do {
		if ((uint32_t)(now >> 8) != id || board_state_in(now) != from)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(word, &now, (now & ~(uint64_t)0xff) | (uint64_t)to, memory_order_acq_rel,
							memory_order_acquire));
	return true;
}

/* The worker has begun this call of the train (after board_begin_item): the word speaks of it from now on. If the supervisor has
 * cancelled the train, or this very call, it stays cancelled. */
static inline void board_begin_call(struct board *board, uint32_t id, uint32_t call)
{
	_Atomic uint64_t *word = &board_entry(board, id)->word;
	uint64_t now = atomic_load_explicit(word, memory_order_acquire), next;

	do {
		if ((uint32_t)(now >> 8) != id)
			return;
		const enum board_state state = board_state_in(now) == BOARD_COMMITTED ? BOARD_STARTED : board_state_in(now);
		next = (uint64_t)call << 40 | board_word(id, state);
	} while (!atomic_compare_exchange_weak_explicit(word, &now, next, memory_order_acq_rel, memory_order_acquire));
}

/* The supervisor cancels this call of the train, the last one that has begun. False: its method has committed itself. */
static inline bool board_cancel_call(struct board *board, uint32_t id, uint32_t call)
{
	_Atomic uint64_t *word = &board_entry(board, id)->word;
	uint64_t now = atomic_load_explicit(word, memory_order_acquire);

	do {
		if ((uint32_t)(now >> 8) != id || board_state_in(now) == BOARD_CANCELLED)
			return true;
		if (board_state_in(now) == BOARD_COMMITTED && now >> 40 == call)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(word, &now, (now & ~(uint64_t)0xff) | BOARD_CANCELLED,
							memory_order_acq_rel, memory_order_acquire));
	return true;
}

static inline enum board_state board_state(struct board *board, uint32_t id)
{
	const uint64_t word = atomic_load_explicit(&board_entry(board, id)->word, memory_order_acquire);
	return (uint32_t)(word >> 8) == id ? board_state_in(word) : BOARD_REVOKED;
}

/* Takes the batch back. False: the worker has begun it. */
static inline bool board_revoke(struct board *board, uint32_t id)
{
	return board_move(board, id, BOARD_HANDED, BOARD_REVOKED) ||
	       atomic_load_explicit(&board_entry(board, id)->word, memory_order_acquire) == board_word(id, BOARD_REVOKED);
}

/*
 * The items of a batch, which the worker begins one after the other. `begun` counts the items for which the method was called,
 * the running one included. The worker begins no item beyond `limit`. The supervisor lowers `limit` to `begun` to take back the
 * rest of a batch that has STARTED. The word names the batch by the lowest bits of its id: a worker
 * that is late begins nothing of the batch that has the entry now.
 */
enum { BOARD_ITEMS_MAX = (1 << 24) - 1 /* items in a batch */ };

static inline uint64_t board_items(uint32_t id, uint32_t limit, uint32_t begun)
{
	return (uint64_t)(uint16_t)id << 48 | (uint64_t)(limit & BOARD_ITEMS_MAX) << 24 | (begun & BOARD_ITEMS_MAX);
}

static inline uint32_t board_items_begun(uint64_t items)
{
	return items & BOARD_ITEMS_MAX;
}

static inline uint32_t board_items_limit(uint64_t items)
{
	return items >> 24 & BOARD_ITEMS_MAX;
}

static inline void board_set_items(struct board *board, uint32_t id, uint32_t count)
{
	atomic_store_explicit(&board_entry(board, id)->items, board_items(id, count, 0), memory_order_relaxed);
}

/* The worker is about to begin the next item. False: the supervisor has taken back this item and all that follow, or the batch is
 * over. */
static inline bool board_begin_item(struct board *board, uint32_t id)
{
	_Atomic uint64_t *items = &board_entry(board, id)->items;
	uint64_t now = atomic_load_explicit(items, memory_order_acquire);

	do {
		if (now >> 48 != (uint16_t)id || board_items_begun(now) >= board_items_limit(now))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(items, &now, now + 1, memory_order_acq_rel, memory_order_acquire));
	return true;
}

static inline uint32_t board_begun(struct board *board, uint32_t id)
{
	const uint64_t items = atomic_load_explicit(&board_entry(board, id)->items, memory_order_acquire);
	const uint32_t begun = board_items_begun(items), limit = board_items_limit(items);
	return begun < limit ? begun : limit;
}

/* Takes back the items that the worker has not begun, but keeps the first `min`. Returns how many the worker keeps. */
static inline uint32_t board_cut(struct board *board, uint32_t id, uint32_t min)
{
	_Atomic uint64_t *items = &board_entry(board, id)->items;
	uint64_t now = atomic_load_explicit(items, memory_order_acquire);
	uint32_t kept;

	do {
		const uint32_t begun = board_items_begun(now), limit = board_items_limit(now);
		kept = begun > min ? begun : min;
		if (kept >= limit)
			return limit;
	} while (!atomic_compare_exchange_weak_explicit(items, &now, board_items(id, kept, board_items_begun(now)),
							memory_order_acq_rel, memory_order_acquire));
	return kept;
}

static inline void ledger_open(struct board *board, uint64_t tag)
{
	atomic_store_explicit(&board->ledger[tag % LEDGER_ENTRIES], tag << 8 | LEDGER_DEFERRED, memory_order_release);
}

/* Does for a deferred task what board_move does for a batch. */
static inline bool ledger_move(struct board *board, uint64_t tag, enum ledger_state from, enum ledger_state to)
{
	uint64_t expected = tag << 8 | from;
	return atomic_compare_exchange_strong_explicit(&board->ledger[tag % LEDGER_ENTRIES], &expected, tag << 8 | to,
						       memory_order_acq_rel, memory_order_acquire);
}

/* Tells, after ledger_move has failed, whether the task is in this state. */
static inline bool ledger_is(struct board *board, uint64_t tag, enum ledger_state state)
{
	return atomic_load_explicit(&board->ledger[tag % LEDGER_ENTRIES], memory_order_acquire) == (tag << 8 | state);
}

#endif
