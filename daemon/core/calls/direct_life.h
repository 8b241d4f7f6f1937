/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct_life: direct channels are opened, and end: by their clients, for a lease, when their instance is replaced, when the worker
 * dies. Their messages are cancelled. direct.h draws a channel's life.
 */
#ifndef CORE_DIRECT_LIFE_H
#define CORE_DIRECT_LIFE_H

#include "daemon/core/calls/direct.h"

enum { DIRECT_ENDED_MAX = 64 /* channels of a client that have ended and are remembered */ };

/* May the client's user have one channel more? 0, or -EBUSY with *error made. */
int direct_check_quota(const struct client *client, struct error *error);

/* The instance for a new channel of the client: of the slot `wanted`; -1: the best of the pool. NULL: *error made. */
struct slot *direct_slot_for(struct pool *pool, int64_t wanted, const struct client *client, struct error *error);

/* Opens a channel: the worker gets `socket`, its end. `rings`: it offers rings to the client. NULL: out of memory. */
struct direct *direct_open(struct client *client, struct slot *slot, struct block *socket, bool rings);

/* Ends the slot's channels, but those of the session `but` (0: all). `reason` is what the client is told: a literal. */
void direct_close_all(struct slot *slot, const char *reason, uint64_t but);

/* The client has got other rights: ends its channels that it may not have with these. `reason` is as above. */
void direct_settle_rights(struct client *client, const char *reason);

/* [DETACHED]: the worker has closed the channel. 0; -EBADMSG: there is none at that place. */
int direct_on_closed(struct slot *slot, uint64_t place, bool protocol_error);

/* The worker has died; *lost is the error for what was in its hands. */
void direct_on_worker_gone(struct slot *slot, const struct error *lost);

/* The client has gone, and its channels with it. */
void direct_on_client_gone(struct client *client);

/* The client's channel of that number, which may have ended. NULL: it has none. */
struct direct *direct_find(const struct client *client, uint64_t number);

/* Cancels a message of the channel. 1; 0: it has ended; -ENOSPC: too many wait to be cancelled. */
int direct_cancel_message(struct direct *direct, uint64_t number);

/* objpool.detached: answers the request now, or when the channel has ended. 0 or -ENOMEM; -EBUSY: another request waits. */
int direct_await_end(struct direct *direct, struct client *client, const struct rpc *rpc);

#endif
