/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held: requests that wait: until a host has had its sticky calls, or until a gateway that has just come knows the hosts. All are
 * taken again, in their order, when held_release is called, and ten times a second; request.c says which must wait still.
 */
#ifndef GATEWAY_HELD_H
#define GATEWAY_HELD_H

#include "gateway/core/session.h"
#include "proto/rpc.h"

enum { HELD_MAX = 16384 };

int held_open(struct gateway *gateway);
void held_close(struct gateway *gateway);

/* Keeps the message. 0; -ENOMEM; -ENOBUFS: there are as many as there may be. */
int held_add(struct session *session, struct span message, struct block *block);

/* The request that objpool.cancel names is answered. False: it does not wait. */
bool held_cancel(struct session *session, const struct rpc *cancel);

/* What is fed to a request that waits, waits behind it; if there is no room, the request is refused. False: that request does not
 * wait. */
bool held_feed(struct session *session, const struct rpc *feed, struct span message, struct block *block);

/* For how many nanoseconds the request that is being taken has waited; 0: it has just come. */
uint64_t held_waited(const struct gateway *gateway);

/* How many wait. */
uint32_t held_count(const struct gateway *gateway);

/* Takes all again. */
void held_release(struct gateway *gateway);

/* The session is closed: its requests that wait are dropped, and with `all` its notifications, too. */
void held_drop(struct session *session, bool all);

#endif
