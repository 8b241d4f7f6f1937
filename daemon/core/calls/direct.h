/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct: direct channels: sockets between a client and an instance's worker. The supervisor opens them, and has them closed
 * (direct_life.h). What is asked on them it sees on the board only (proto/direct.h): this file looks there.
 *
 *   OPEN --direct_close_all, client gone--> CLOSING --DETACHED--> ended --client gone, or too many--> forgotten
 *     '------DETACHED, the worker died-----------------------^
 *
 * An open channel is in its slot's list and in its client's. One that has ended stays in the client's, so that the client can
 * ask how it ended (objpool.detached). One whose client has gone stays in the slot's until the worker has closed it.
 */
#ifndef CORE_DIRECT_H
#define CORE_DIRECT_H

#include "daemon/core/records/client.h"
#include "daemon/core/records/slot.h"

struct direct {
	TAILQ_ENTRY(direct) of_slot;   /* while `slot` is set */
	TAILQ_ENTRY(direct) of_client; /* while `client` is set */
	uint64_t number;
	struct slot *slot;     /* NULL: it has ended */
	struct client *client; /* NULL: it has gone */
	uint32_t place;        /* on the board */
	uint64_t session;
	const char *reason;    /* why it ends, or has ended; NULL: it is open */
	uint64_t begun;        /* messages that the worker had begun when it ended */
	char *pool;            /* of its instance, likewise the next two: for the error */
	uint32_t index;
	uint64_t generation;
	struct error *lost;    /* the worker died; NULL: it didn't */
	struct ticket ticket;  /* of who waits for its end */
	struct rights *rights; /* of the client, which may have gone: for the calls that its messages' methods make */
	struct account *account; /* of the client, which may have gone */
	uint64_t charged;       /* to it: this structure, and what the worker holds for the channel */
};

/* The open channel at that place of the slot's board. NULL: there is none. */
struct direct *direct_at(const struct slot *slot, uint64_t place);

/* Has the slot channels of others than this session? */
bool direct_has_others(const struct slot *slot, uint64_t session);

/* Charges the client the channel's memory here, and so much in the worker, instead of what was charged before. */
void direct_charge(struct direct *direct, uint64_t in_worker);

/* Adds to the counts of the slot, the pool and its methods what the worker has counted on the board, and charges the clients what
 * the worker holds for their channels. */
void direct_take_counts(struct slot *slot);
void direct_take_all_counts(struct core *core); /* of all slots */

/* How many messages of direct channels the instance has put off. */
uint32_t direct_put_off(const struct slot *slot);

/* Does a message of a direct channel run? */
static inline bool direct_is_busy(const struct slot *slot)
{
	return slot->directs_count > 0 && board_direct_state_in(atomic_load(&slot->board->direct.word)) != DIRECT_ENDED;
}

/* Does a message of a direct channel run? Then *name (of `size` bytes) is its method, *since when it began, *session whose it
 * is. */
bool direct_running(const struct slot *slot, char *name, size_t size, uint64_t *since, uint64_t *session);

#endif
