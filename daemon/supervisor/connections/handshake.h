/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake: connections whose handshake of TLS is not done. They are no sessions yet. Strangers make them, so they are bounded:
 * each in time, all together in number (the oldest gives way), and in what they cost a turn of the loop.
 *
 *   accepted --its first byte--> shakes hands ------done------> session_new, or its owner goes on
 *      |                             '--fails--> leaves: its last bytes are read, so that the peer gets to know why --> closed
 *      '------10 seconds, or too many others------> closed
 */
#ifndef SUPERVISOR_HANDSHAKE_H
#define SUPERVISOR_HANDSHAKE_H

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/config/address.h"

#include <openssl/ssl.h>

struct handshake;

/* Of a connection that is to become no session: whose it is. */
struct handshake_owner {
	struct handshake *handshake; /* NULL: there is none (any more) */
	/* The handshake is done; or (false) the connection must be closed. */
	void (*over)(struct handshake_owner *owner, bool done);
};

/* NULL: out of memory. */
struct handshakes *handshakes_new(struct daemon *daemon);

/* Closes all. NULL: nothing. Returns NULL. */
struct handshakes *handshakes_free(struct handshakes *handshakes);

/* Takes over an accepted connection. */
void handshakes_add(struct handshakes *handshakes, int fd, const struct address *peer);

/* Goes through the handshake for an owner, who keeps the socket and its TLS but does not touch them until it is over. It calls
 * `over` at once if there is no memory. */
void handshakes_add_for(struct handshakes *handshakes, struct handshake_owner *owner, int fd, SSL *ssl,
			const struct address *peer);

/* The owner ends the connection itself: `over` is not called. Does nothing when there is no handshake. */
void handshake_forget(struct handshake_owner *owner);

/* There are too many connections: closes the oldest that is not done. False: there is none. */
bool handshakes_give_way(struct handshakes *handshakes);

/* Has one something to do in the next turn of the loop? */
bool handshakes_have_work(const struct handshakes *handshakes);

/* When a turn of the loop ends: goes on with those that can, for a moment, and closes what is overdue. */
void handshakes_end_turn(struct handshakes *handshakes);

/* How many there are; and how many have failed since the start. */
uint32_t handshakes_count(const struct handshakes *handshakes);
uint64_t handshakes_failed(const struct handshakes *handshakes);

#endif
