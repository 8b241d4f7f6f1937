/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_end: what becomes of the calls on a channel whose socket has ended. The daemon is asked (objpool.detached) how many
 * messages the worker had begun:
 *
 *   not begun                      the call is sent on the connection. It fails if it was for a leased instance: the lease has
 *                                  ended with the worker, too.
 *   begun, the last one            it fails with the daemon's error (WORKER_LOST, with how the worker died), and may have run
 *   begun, others                  they fail likewise, and have run
 */
#ifndef CLIENT_C_CHANNEL_END_H
#define CLIENT_C_CHANNEL_END_H

#include "client/c/connection.h"

/* The socket has ended, or what came from it is no MessagePack-RPC. */
void channel_end(struct objpool_client *client, struct channel *channel);

/* At the end of a turn: frees channels that have ended and have no call left. */
void channel_end_reap(struct objpool_client *client);

#endif
