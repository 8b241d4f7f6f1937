/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_end: a client stops and starts to read, is hung up, leaves, is gone: what follows from it for its calls, its leases and the
 * instances that it has called. client.h draws the way.
 */
#ifndef CORE_CLIENT_END_H
#define CORE_CLIENT_END_H

#include "daemon/core/records/client.h"

/* Some of client->out has been sent. If few enough answers of a stalled client are unread now, goes on with its calls: its batches are
 * handed out again, and its methods may yield more. Does nothing for other clients. */
void client_on_sent(struct client *client);

/* The client can't be answered any more: abandons its requests. Its notifications are still carried out. */
void client_hang_up(struct client *client);

/*
 * The client sends nothing more: hangs it up, and gives back the leases that its notifications don't need. True: no
 * notification is left; client_gone has been called. False: when the last one ends, ops->client_wrote is called; then call this
 * again.
 */
bool client_leave(struct client *client);

/* Ends the client at once: abandons its tickets, drops its waiting calls, releases its leases, and frees what it holds. */
void client_gone(struct client *client);

/* Is a notification of the client still carried out by this pool? */
bool client_notifies(const struct client *client, const struct pool *pool);

#endif
