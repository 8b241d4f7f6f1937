/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct: what the board (channel.h) holds of an instance's direct channels. A direct channel is a socket between a client and
 * the worker: the supervisor sees nothing of the calls on it. So the worker writes here what runs, what has begun, and counts;
 * the supervisor reads it, and cancels calls. The functions are board_direct_*; direct_* are the core's
 * (daemon/core/calls/direct.h).
 *
 * The word says which message of which channel runs:
 *
 *     number, 40 bits | place of the channel, 8 bits | notification?, 8 bits | enum direct_state, 8 bits
 *
 *     ENDED --worker--> STARTED --supervisor--> CANCELLED --worker--> ENDED
 *                          `------worker------> COMMITTED --worker--> ENDED
 *
 * A message that has not begun is cancelled by its number in `cancelled`. Worker and supervisor each write first and then look,
 * so that at least one of them sees the other: the worker sets `word` and `begun`, and then looks at `cancelled`; the supervisor
 * sets `cancelled`, and then looks at `begun` and `word`.
 */
#ifndef PROTO_DIRECT_H
#define PROTO_DIRECT_H

#include "proto/histogram_place.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DIRECT_MAX = 64,     /* channels of an instance */
	DIRECT_CANCELS = 32, /* messages of a channel that are cancelled and have not begun */
	DIRECT_METHODS = 32, /* methods that are measured each for itself; the last place is for all others */
	DIRECT_NAME = 64,    /* bytes of a method's name here, with its NUL */
	DIRECT_HELD_TOLD = 4 << 20, /* bytes: see COUNTED in channel.h */
};

#define DIRECT_NUMBERS (UINT64_C(1) << 40) /* numbers of messages are below: so many bits are in the word */

enum direct_state { DIRECT_ENDED = 0, DIRECT_STARTED = 1, DIRECT_CANCELLED = 2, DIRECT_COMMITTED = 3 };

struct direct_place {
	_Atomic uint64_t begun;                     /* messages that the worker has begun */
	_Atomic uint64_t held;                      /* bytes of memory that its messages and answers take in the worker */
	_Atomic uint32_t put_off;                   /* messages that have ended, and whose answers their methods have put off */
	_Atomic uint32_t cancels;                   /* so many of `cancelled` are not 0, at most */
	_Atomic uint64_t cancelled[DIRECT_CANCELS]; /* number of a message + 1; 0: free */
};

/* What has been counted since the supervisor last took it: it takes what it adds to its own counts. */
struct direct_measure {
	char name[DIRECT_NAME]; /* written before `methods` counts the place */
	_Atomic uint64_t calls, failures;
	_Atomic uint64_t sum, most;                 /* nanoseconds in the method */
	_Atomic uint64_t places[HISTOGRAM_PLACES];
};

struct direct_board {
	_Atomic uint64_t word;
	_Atomic uint32_t method;  /* which of `measures` the running message is of */
	_Atomic uint32_t methods; /* how many of `measures` have a name, but for the last, which always counts */
	struct direct_place places[DIRECT_MAX];
	struct direct_measure measures[DIRECT_METHODS];
};

static inline uint64_t board_direct_word(uint32_t place, uint64_t number, bool notification, enum direct_state state)
{
	return number << 24 | (uint64_t)place << 16 | (uint64_t)notification << 8 | (uint64_t)state;
}

static inline enum direct_state board_direct_state_in(uint64_t word)
{
	return (enum direct_state)(word & 0xff);
}

static inline bool board_direct_is_notification(uint64_t word)
{
	return word >> 8 & 0xff;
}

static inline uint32_t board_direct_place_in(uint64_t word)
{
	return (uint32_t)(word >> 16 & 0xff);
}

/* Does the word, in any state but ENDED, speak of that message? */
static inline bool board_direct_is_of(uint64_t word, uint32_t place, uint64_t number)
{
	return board_direct_state_in(word) != DIRECT_ENDED && board_direct_place_in(word) == place &&
	       word >> 24 == (number & UINT64_C(0xffffffffff));
}

/* Moves the running message from one state to another. False: it is in another. */
static inline bool board_direct_move(struct direct_board *board, enum direct_state from, enum direct_state to)
{
	uint64_t now = atomic_load_explicit(&board->word, memory_order_acquire);

	do {
		if (board_direct_state_in(now) != from)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&board->word, &now, (now & ~UINT64_C(0xff)) | (uint64_t)to,
							memory_order_acq_rel, memory_order_acquire));
	return true;
}

/* ---- the worker's side ---- */

/* Was the message cancelled before it began? Then its cell is free again. */
static inline bool board_direct_take_cancel(struct direct_place *place, uint64_t number)
{
	if (atomic_load(&place->cancels) == 0)
		return false;
	for (unsigned i = 0; i < DIRECT_CANCELS; i++) {
		uint64_t wanted = number + 1;
		if (atomic_compare_exchange_strong(&place->cancelled[i], &wanted, 0)) {
			atomic_fetch_sub(&place->cancels, 1);
			return true;
		}
	}
	return false;
}

/* The message begins. False: it was cancelled before. board_direct_end follows in both cases. */
static inline bool board_direct_begin(struct direct_board *board, uint32_t place, uint64_t number, bool notification)
{
	atomic_store_explicit(&board->word, board_direct_word(place, number, notification, DIRECT_STARTED), memory_order_release);
	atomic_store(&board->places[place].begun, number + 1); /* sequentially consistent: see above */
	return !board_direct_take_cancel(&board->places[place], number);
}

static inline void board_direct_end(struct direct_board *board)
{
	atomic_store_explicit(&board->word, 0, memory_order_release);
}

static inline void board_direct_count(struct direct_measure *measure, uint64_t nanoseconds, bool failed)
{
	atomic_fetch_add_explicit(&measure->calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&measure->sum, nanoseconds, memory_order_relaxed);
	atomic_fetch_add_explicit(&measure->places[histogram_place(nanoseconds)], 1, memory_order_relaxed);
	if (failed)
		atomic_fetch_add_explicit(&measure->failures, 1, memory_order_relaxed);
	if (nanoseconds > atomic_load_explicit(&measure->most, memory_order_relaxed))
		atomic_store_explicit(&measure->most, nanoseconds, memory_order_relaxed);
}

/* Has the supervisor cancelled the message, whose answer was put off? */
static inline bool board_direct_is_dropped(struct direct_place *place, uint64_t number)
{
	bool dropped = false;

	for (unsigned i = 0; atomic_load(&place->cancels) > 0 && i < DIRECT_CANCELS; i++)
		dropped = dropped || atomic_load(&place->cancelled[i]) == number + 1;
	return dropped;
}

/* ---- the supervisor's side ---- */

static inline uint64_t board_direct_begun(struct direct_board *board, uint32_t place)
{
	return atomic_load(&board->places[place].begun);
}

/* Puts the number into a free cell, which the worker frees when the message begins. The cell; NULL: there is none, or the
 * number has one already (*has). */
static inline _Atomic uint64_t *board_direct_put_cancel(struct direct_place *place, uint64_t number, bool *has)
{
	*has = false;
	for (unsigned i = 0; i < DIRECT_CANCELS; i++)
		*has = *has || atomic_load(&place->cancelled[i]) == number + 1;
	if (*has)
		return NULL;
	atomic_fetch_add(&place->cancels, 1); /* first: a worker that finds it 0 looks at no cell */
	for (unsigned i = 0; i < DIRECT_CANCELS; i++) {
		uint64_t none = 0;
		if (atomic_compare_exchange_strong(&place->cancelled[i], &none, number + 1))
			return &place->cancelled[i];
	}
	atomic_fetch_sub(&place->cancels, 1);
	return NULL;
}

/* Cancels a message. 1: it runs, and sees it; 2: it will not begin; 0: it has ended, or committed itself; -1: no cell is free. */
static inline int board_direct_cancel(struct direct_board *board, uint32_t place, uint64_t number)
{
	struct direct_place *of = &board->places[place];
	bool has = false;
	_Atomic uint64_t *cell = board_direct_begun(board, place) <= number ? board_direct_put_cancel(of, number, &has) : NULL;

	if (has)
		return 2;
	if (!cell && board_direct_begun(board, place) <= number)
		return -1;
	if (cell && board_direct_begun(board, place) <= number)
		return 2;
	uint64_t word = atomic_load(&board->word), mine = number + 1;
	while (board_direct_is_of(word, place, number) && board_direct_state_in(word) == DIRECT_STARTED)
		if (atomic_compare_exchange_weak(&board->word, &word, (word & ~UINT64_C(0xff)) | DIRECT_CANCELLED))
			return 1;
	if (board_direct_is_of(word, place, number) && board_direct_state_in(word) == DIRECT_CANCELLED)
		return 1;
	if (!cell)
		return 0;
	if (!atomic_compare_exchange_strong(cell, &mine, 0))
		return 2; /* the worker has taken it */
	atomic_fetch_sub(&of->cancels, 1);
	return 0;
}

/* Cancels a message that has ended, and whose answer may have been put off. 1: the worker looks here, and is to be sent DROP, which
 * has it free the cell; 2: it was sent before; -1: no cell is free. */
static inline int board_direct_drop(struct direct_board *board, uint32_t place, uint64_t number)
{
	bool has;

	if (board_direct_put_cancel(&board->places[place], number, &has))
		return 1;
	return has ? 2 : -1;
}

/* Before the place is used for a new channel. */
static inline void board_direct_clear(struct direct_place *place)
{
	atomic_store(&place->begun, 0);
	atomic_store(&place->held, 0);
	atomic_store(&place->put_off, 0);
	atomic_store(&place->cancels, 0);
	for (unsigned i = 0; i < DIRECT_CANCELS; i++)
		atomic_store(&place->cancelled[i], 0);
}

#endif
