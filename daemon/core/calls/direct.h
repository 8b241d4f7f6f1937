/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct: direct channels: sockets between a client and an instance's worker. The supervisor opens them, and has them closed.
 * What is asked on them it sees on the board only (proto/direct.h).
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

enum { DIRECT_ENDED_MAX = 64 /* channels of a client that have ended and are remembered */ };

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
	struct account *account; /* of the client, which may have gone */
	size_t charged;        /* to it: this structure, and what the worker holds for the channel */
};

/* The instance for a new channel of the client: of the slot `wanted`; -1: the best of the pool. NULL: *error made. */
struct slot *direct_slot_for(struct pool *pool, int64_t wanted, const struct client *client, struct error *error);

/* Opens a channel: the worker gets `socket`, its end. NULL: out of memory. */
struct direct *direct_open(struct client *client, struct slot *slot, struct block *socket);

/* Ends the slot's channels, but those of the session `but` (0: all). `reason` is what the client is told: a literal. */
void direct_close_all(struct slot *slot, const char *reason, uint64_t but);

/* Has the slot channels of others than this session? */
bool direct_has_others(const struct slot *slot, uint64_t session);

/* [DETACHED]: the worker has closed the channel. 0; -EBADMSG: there is none at that place. */
int direct_on_closed(struct slot *slot, uint64_t place, bool protocol_error);

/* The worker has died; *lost is the error for what was in its hands. */
void direct_on_worker_gone(struct slot *slot, const struct error *lost);

/* The client has gone, and its channels with it. */
void direct_on_client_gone(struct client *client);

/* The open channel at that place of the slot's board. NULL: there is none. */
struct direct *direct_at(const struct slot *slot, uint64_t place);

/* The client's channel of that number, which may have ended. NULL: it has none. */
struct direct *direct_find(const struct client *client, uint64_t number);

/* Cancels a message of the channel. 1; 0: it has ended; -ENOSPC: too many wait to be cancelled. */
int direct_cancel_message(struct direct *direct, uint64_t number);

/* objpool.detached: answers the request now, or when the channel has ended. 0 or -ENOMEM; -EBUSY: another request waits. */
int direct_await_end(struct direct *direct, struct client *client, const struct rpc *rpc);

/* Adds to the counts of the slot, the pool and its methods what the worker has counted on the board, and charges the clients what
 * the worker holds for their channels. */
void direct_take_counts(struct slot *slot);
void direct_take_all_counts(struct core *core); /* of all slots */

/* Does a message of a direct channel run? */
static inline bool direct_is_busy(const struct slot *slot)
{
	return slot->directs_count > 0 && board_direct_state_in(atomic_load(&slot->board->direct.word)) != DIRECT_ENDED;
}

/* Does a message of a direct channel run? Then *name (of `size` bytes) is its method, *since when it began, *session whose it
 * is. */
bool direct_running(const struct slot *slot, char *name, size_t size, uint64_t *since, uint64_t *session);

#endif
