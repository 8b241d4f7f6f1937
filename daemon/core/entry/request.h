/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: makes a call of a client's message and begins it, or answers the error that says what is wrong with the message.
 */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "daemon/core/records/client.h"

/*
 * A request or notification on a pool, `pool[:selector].method` with positional arguments. `block` holds the message's
 * bytes (NULL: they are gone when this returns). 0, or -EEXIST: the msgid is in use, a protocol error.
 */
int request_call(struct client *client, struct rpc *rpc, struct block *block);

/* The same for objpool.call [target, method, args, options]. */
int request_full_call(struct client *client, struct rpc *rpc, struct block *block);

/* The notifications objpool.feed [msgid, [item, ...]] and objpool.feed_end [msgid, error?]. */
void request_feed(struct client *client, const struct rpc *rpc, struct block *block);
void request_feed_end(struct client *client, const struct rpc *rpc);

/* Refuses a request: answers the error, unless the message is a notification. 0; or -EEXIST: the msgid is in use. */
int request_refuse(struct client *client, const struct rpc *rpc, const struct error *error);

#endif
