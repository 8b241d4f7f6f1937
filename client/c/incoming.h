/* SPDX-License-Identifier: Apache-2.0 */
/* incoming: messages of the daemon: answers of calls, results and credit of streams, progress, notifications for the program. */
#ifndef CLIENT_C_INCOMING_H
#define CLIENT_C_INCOMING_H

#include "client/c/connection.h"

/*
 * Reads what has come, up to a limit, and handles it; waits for the first byte if `wait`. Sets client->lost if the connection
 * is lost, or if the daemon has sent no MessagePack-RPC.
 */
void incoming_receive(struct objpool_client *client, bool wait);

/* A send has failed. Reads what the daemon had sent before, to its end. */
void incoming_receive_rest(struct objpool_client *client);

/*
 * The same for a direct channel: its calls are answered. When its socket ends, or brings no MessagePack-RPC, the calls that are
 * left are handed to channel_end.
 */
void incoming_receive_channel(struct objpool_client *client, struct channel *channel, bool wait);

#endif
