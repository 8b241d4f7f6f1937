/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routing: which calls go on direct channels, and asking the daemon for channels.
 *
 * Nothing waits for a channel. A call for which there is none goes on the connection, and objpool.attach goes with it: later
 * calls have the channel. So a daemon, or a pool, that has no channels costs nothing but a question now and then.
 */
#ifndef CLIENT_C_ROUTING_H
#define CLIENT_C_ROUTING_H

#include "client/c/client_request.h"

/* A call's message as it was sent on a channel, in case that it has to be sent on the connection. */
struct channel_message {
	uint64_t number; /* of the message, on its channel */
	size_t size;
	unsigned char bytes[];
};

/* Sets the channel of a call that makes this request. NULL: it goes on the connection, as it needs what only the daemon does, or
 * has large arguments, or its last result was large: there these go by descriptor. */
void routing_choose(struct objpool_client *client, const struct client_request *request, struct pending_call *call);

/* The call has a result of so many bytes. */
void routing_on_result(struct objpool_client *client, const struct pending_call *call, size_t size);

/* A channel's worker has offered rings, or has none. 0, or a negative errno: the channel is of no use. */
int routing_on_rings(struct objpool_client *client, struct channel *channel, struct objpool_bytes params);

/* Packs the request of a call in flight into the output of call->channel. 0; -ENOMEM: nothing has been packed. */
int routing_pack(struct pending_call *call, const struct client_request *request);

/* The call has been taken out of those in flight: it is none of its channel's any more. */
void routing_release(struct pending_call *call);

/*
 * The program has leased a slot, or has released it (-1: some slot of the pool). While it is leased, only calls that are
 * addressed to the slot may go there.
 */
void routing_on_lease(struct objpool_client *client, const char *pool, int64_t slot);
void routing_on_release(struct objpool_client *client, const char *pool, int64_t slot);

#endif
