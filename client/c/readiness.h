/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readiness: which sockets of a connection with direct channels can be read. A program's loop sees one descriptor: an epoll set
 * of them all, which is readable when there is something to do for one of them.
 */
#ifndef CLIENT_C_READINESS_H
#define CLIENT_C_READINESS_H

#include "client/c/connection.h"

/* Makes the set, with the connection's socket in it. 0 or a negative errno. */
int readiness_open(struct objpool_client *client);

/* Adds a channel; removes it before its socket is closed. 0 or a negative errno. */
int readiness_add(struct objpool_client *client, struct channel *channel);
void readiness_remove(struct objpool_client *client, const struct channel *channel);

/* Adds the pipe of a channel's rings. 0 or a negative errno. */
int readiness_add_rings(struct objpool_client *client, struct channel *channel);

/* Tells the workers of channels with rings that this program sleeps. False: there is something to read or to send. Then the
 * caller does not wait; or calls readiness_nudge, which makes the set readable. */
bool readiness_fall_asleep(struct objpool_client *client);
void readiness_nudge(const struct objpool_client *client);

/* Looks, too, at whether sockets for which there is output can be written to. Called before somebody waits for the set. */
void readiness_await_room(struct objpool_client *client);

enum {
	READINESS_SOCKETS = 32, /* sockets that are read in a turn */
	READINESS_MAX = 64,     /* what is read in a turn. So there is always room for rings */
};

/* What can be read. */
struct ready {
	struct channel *channel; /* NULL: the connection's socket */
};

/* Waits until some are ready, at most `timeout_ms`. Returns how many can be read: those in `ready`; or a negative errno. If there
 * are more than there is room for, all have their turn before one has another. */
int readiness_wait(struct objpool_client *client, struct ready ready[READINESS_MAX], int timeout_ms);

/* The channel on which all calls in flight are, if there is no other channel and nothing to send: to wait for it alone misses
 * nothing. Or NULL. */
struct channel *readiness_only(const struct objpool_client *client);

#endif
