/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_end: what happens to a client's calls and leases, and to the instances that it has called, when the client reads
 * again, is hung up, leaves, or is gone. client.h draws these states.
 */
#ifndef CORE_CLIENT_END_H
#define CORE_CLIENT_END_H

#include "daemon/core/records/client.h"

/* Some of client->out has been sent. If the client is stalled and few of its answers are unread now, its calls go on: its
 * batches are handed out again, and its methods may yield more. If too many are unread still, its tasks that no worker has begun
 * are taken back. */
void client_on_sent(struct client *client);

/* The client can't be answered any more: abandons its requests. Its notifications go on. */
void client_hang_up(struct client *client);

/*
 * The client sends nothing more: hangs it up, and releases the leases that its notifications don't need. True: it has no
 * notification left, and client_gone has been called. False: ops->client_wrote will be called when the last notification ends;
 * call client_leave again then.
 */
bool client_leave(struct client *client);

/* Ends the client at once: abandons its tickets, drops its waiting calls, releases its leases, and frees what it holds. */
void client_gone(struct client *client);

/* Has the client a notification that this pool has not finished? */
bool client_notifies(const struct client *client, const struct pool *pool);

#endif
