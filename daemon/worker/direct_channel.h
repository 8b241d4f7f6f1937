/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct_channel: one direct channel: its socket, the messages that come on it, and the answers that go. docs/PROTOCOL.md says
 * what its client is told. It never blocks. With rings the socket only says when the other side has gone.
 *
 *   client --> [ in: messages, one unfinished ] --..._next--> (direct_call.c) --..._put--> [ out ] --> client
 *
 * Both buffers grow as bytes come, and are bounded: no message is taken while more than DIRECT_UNSENT bytes of answers are not
 * sent, and nothing is read while a message waits.
 */
#ifndef WORKER_DIRECT_CHANNEL_H
#define WORKER_DIRECT_CHANNEL_H

#include "proto/error_form.h"
#include "proto/read.h"
#include "proto/rings.h"
#include "proto/scan.h"

#include <signal.h>
#include <sys/queue.h>

enum { DIRECT_UNSENT = 1 << 20 };

struct deferred;
TAILQ_HEAD(deferred_list, deferred);

struct direct_channel {
	uint32_t place;      /* on the board */
	int fd;
	struct rings *rings; /* messages and answers go through them, not through the socket; NULL: there are none */
	bool hung_up;        /* with rings: the client has shut down its sending side of the socket */
	uint64_t session;
	enum error_form error_form; /* that its client wants */
	uint64_t grace;      /* nanoseconds that the client has to end it once it is told to */

	uint8_t *in;
	size_t begin, end, room;
	struct scan scan;
	uint64_t limit;      /* of a message */
	bool dropping;       /* the rest of a message over the limit */
	uint64_t read_at;    /* CLOCK_MONOTONIC nanoseconds, when bytes last came */
	uint64_t number;     /* of the next message */
	bool input_ended;    /* no more bytes will come */
	bool stray;          /* descriptors have come, or with rings bytes on the socket, which nobody may send here */
	bool waits;          /* there may be a whole message in `in` */

	uint8_t *out;
	size_t sent, size, out_room;
	volatile sig_atomic_t out_changes; /* what a signal that ends the process interrupts: `out` is of no use then */
	uint64_t flushed;    /* when answers were last sent */
	size_t held;         /* bytes of both buffers, as the board says */

	struct deferred_list deferred; /* calls whose answers were put off: see direct_deferred.h */

	bool dead;           /* nobody reads the answers: only notifications are carried out */
	bool protocol_error; /* the client has broken the protocol */
	bool told;           /* objpool.closing has been said */
	uint64_t deaf_at;    /* then nothing more is taken; UINT64_MAX: never, or it has been so */
	uint64_t close_at;   /* then it is cut; UINT64_MAX: never */
};

/* Takes the descriptor. NULL: out of memory, and it is closed. */
struct direct_channel *direct_channel_new(int fd, uint64_t limit);
struct direct_channel *direct_channel_free(struct direct_channel *channel);

/* In a fork of the worker: closes its copies of the descriptors. A signal handler may call it. */
void direct_channel_forget(const struct direct_channel *channel);

/* Offers rings to the client: it is told first, with nil if they can't be made, and sends nothing before. */
void direct_channel_offer_rings(struct direct_channel *channel, uint64_t now);

/* Reads once, what has come. */
void direct_channel_read(struct direct_channel *channel, uint64_t now);

/* The next message. 1; 0: there is none; -EBADMSG: no msgpack; -EPROTO: what is stray has come; -EMSGSIZE: a message is over
 * the limit, and *message its beginning. Valid until direct_channel_read. */
int direct_channel_next(struct direct_channel *channel, struct span *message);

/* Adds bytes to the answers. 0 or -ENOMEM. Sends what the socket takes. */
int direct_channel_put(struct direct_channel *channel, const void *bytes, size_t size);
void direct_channel_flush(struct direct_channel *channel, uint64_t now);

/* As send, of what is not sent. A signal handler may call it. */
ssize_t direct_channel_send(const struct direct_channel *channel);

/* May a message be taken? */
static inline bool direct_channel_may_begin(const struct direct_channel *channel)
{
	return channel->waits && (channel->dead || channel->size - channel->sent <= DIRECT_UNSENT);
}

/* How much memory its messages and answers take. */
static inline size_t direct_channel_memory(const struct direct_channel *channel)
{
	return channel->room + channel->out_room + (channel->rings ? RINGS_MEMORY : 0);
}

/* The client is to end it, for this reason. */
void direct_channel_tell_closing(struct direct_channel *channel, struct span reason, uint64_t now);

/* Does what is due by now: it is cut, or nothing more is taken on it. */
void direct_channel_keep_time(struct direct_channel *channel, uint64_t now);

/* Ends both directions: what has arrived is still read, and nobody is answered. */
void direct_channel_cut(struct direct_channel *channel);

/* Has all that the client has sent been dealt with, so that it is to be closed? */
bool direct_channel_is_done(const struct direct_channel *channel);

/* What poll shall wait for, of the socket. */
short direct_channel_events(const struct direct_channel *channel);

/* Poll has found this of the socket. */
void direct_channel_on_polled(struct direct_channel *channel, short events, uint64_t now);

/* Shall more be read? */
static inline bool direct_channel_wants_input(const struct direct_channel *channel)
{
	return !channel->input_ended && !channel->waits && (channel->dead || channel->size - channel->sent <= DIRECT_UNSENT);
}

#endif
