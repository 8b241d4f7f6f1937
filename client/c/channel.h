/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: a socket to one instance's worker (docs/PROTOCOL.md, The direct channel), and the routes that calls take.
 *
 *   route "sim", any instance:   channel to slot 0, channel to slot 1, ...   The idlest one gets the call.
 *   route "sim:2":               channel to slot 2
 *
 *   OPENING ----- objpool.rings came -----> OPEN
 *   OPEN ----- objpool.closing came, or a send has failed -----> CLOSING ----- the socket has ended -----> ENDED
 *     '--------------------------------- the socket has ended ----------------------------------------------^
 *
 * OPENING: the worker will say whether bytes go through rings (proto/rings.h) or through the socket; nothing is sent before.
 * OPEN: gets calls. CLOSING: gets no more calls; what was sent is answered. Its sending side is shut down once all is sent.
 * ENDED: the calls without an answer wait until the daemon has said which of them have run (channel_end.h). The channel is
 * freed when none is left.
 */
#ifndef CLIENT_C_CHANNEL_H
#define CLIENT_C_CHANNEL_H

#include "client/c/wire.h"

enum channel_state { CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_ENDED };

struct channel {
	struct wire wire;
	struct channel *next; /* of its route */
	struct route *route;
	uint64_t id; /* the daemon's number of it */
	int64_t slot;
	uint64_t messages;    /* that were packed: the number of the next one */
	uint64_t turn, round; /* the last in which its rings were read */
	uint32_t in_flight;   /* calls without an answer */
	enum channel_state state;
	bool shut;        /* its sending side */
	bool asks;        /* objpool.detached was sent, and is not answered */
	bool awaits_room; /* see readiness.h */
};

struct route {
	struct route *next; /* of its connection; the one that was used last comes first */
	struct channel *channels;
	struct objpool_client *client;
	int64_t slot;      /* -1: any */
	int64_t retry_at;  /* after a refusal: no channel is asked for before this time; 0: one may be */
	int64_t spread_at; /* no second channel is asked for before this time: the daemon has offered none to another instance */
	uint32_t pause_ms;
	bool attaches;    /* objpool.attach was sent, and is not answered */
	bool leased;      /* the program has leased the slot: its calls must not run when the lease has ended with the worker */
	size_t pool_size; /* of the target: the pool's name */
	size_t size;
	char target[]; /* with a NUL */
};

/* Takes over the socket. `rings`: the worker offers them. NULL: out of memory, and the socket is closed. */
struct channel *channel_new(struct route *route, int fd, bool rings);

/* The worker has offered rings; [nil]: it has none. 0, or a negative errno: the channel is of no use. */
int channel_on_rings(struct channel *channel, struct objpool_bytes params);

/* Frees it. Returns NULL. */
struct channel *channel_free(struct channel *channel);

/* Sends what the socket takes, and shuts down the sending side of a closing channel. 0: all is sent; 1: some is left. */
int channel_flush(struct channel *channel);

/* The open channel with the fewest calls; NULL: there is none. */
struct channel *route_idlest(const struct route *route);

/* Has it a channel that will be open? */
bool route_is_opening(const struct route *route);

/* The channel to this slot that is open, or will be; or NULL. */
struct channel *route_channel_to(const struct route *route, int64_t slot);

/* NULL: out of memory. */
struct route *route_new(const char *target, size_t size, size_t pool_size, int64_t slot);

/* Frees it and its channels. */
void route_free(struct route *route);

#endif
