/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: a stream of bytes in both directions, many to a conduit. The host that opens it does so for one of its sessions; the
 * bytes are MessagePack-RPC messages, cut anywhere.
 *
 *   frame    kind and side | channel | size | payload           1 + 4 + 4 + size bytes
 *   OPEN     the user of the opening host's session
 *   DATA     bytes of the stream. The receiver has said how many it takes
 *   CREDIT   the sender of this has taken so many bytes: 4 bytes
 *   CLOSE    why (enum channel_end), and a text for people. Nothing follows
 *
 * Each side may send CHANNEL_FIRST bytes at once, and then as many as it got credit for. Channels with something to send take
 * turns. All ends of a channel are told by ops->closed, once, but for the one that the owner itself makes with channel_close.
 */
#ifndef GATEWAY_CHANNEL_H
#define GATEWAY_CHANNEL_H

#include "gateway/core/conduit.h"

enum {
	CHANNEL_FIRST = 64 << 10,
	CHANNEL_WINDOW = 2 << 20,   /* bytes that may be under way once the receiver has taken some */
	CHANNEL_USER_MAX = 255,
	CHANNEL_TEXT_MAX = 200,
	CHANNELS_UNSERVED = 48 << 10, /* of one host, that were refused, or have ended, and whose CLOSE it has not taken */
};

enum channel_end {
	CHANNEL_ENDED,   /* the other side has no use for it any more, or its session has ended */
	CHANNEL_REFUSED, /* it was never opened at the other side: nothing of it has run */
	CHANNEL_LOST,    /* the conduit is dead */
};

struct channel_ops {
	/* Bytes have come; they are gone when this returns. Their owner calls channel_taken when it has taken them. */
	void (*data)(struct channel *channel, struct span bytes);
	/* Some bytes of channel->out have left. */
	void (*left)(struct channel *channel);
	/* It has ended. The channel is freed at the end of the turn. */
	void (*closed)(struct channel *channel, enum channel_end end, struct span text);
};

struct channel {
	struct gateway_ending ending;
	TAILQ_ENTRY(channel) entry; /* of conduit->ready */
	struct conduit *conduit;
	const struct channel_ops *ops;
	void *owner;
	struct sendq out;                   /* what is written to it; channel_wrote follows */
	uint64_t left;                      /* bytes that were ever taken from `out` into packets */
	uint64_t may_send, may_come, taken; /* taken: since the last CREDIT */
	uint32_t id;
	bool opened_here;
	bool widened;  /* the other side has been given the whole window */
	bool is_ready; /* on conduit->ready */
	bool open_due, close_due, over;
	enum channel_end end; /* of close_due */
	char text[CHANNEL_TEXT_MAX + 1];
	char user[CHANNEL_USER_MAX + 1]; /* of OPEN */
};

/* Before any other function: how channels of other hosts are received. `opened` sets channel->ops and owner, or returns a text
 * that says why not. */
void channels_open(struct gateway *gateway, const char *(*opened)(struct channel *channel));

/* A new channel to a host that is there, for a session of this user. NULL: out of memory, or the host is gone. */
struct channel *channel_open(struct host *host, const char *user, const struct channel_ops *ops, void *owner);

/* Bytes were added to channel->out. */
void channel_wrote(struct channel *channel);

/* So many bytes that came have been taken. */
void channel_taken(struct channel *channel, size_t bytes);

/* The owner is done with it: what is in `out` is sent first. ops are not called any more. */
void channel_close(struct channel *channel, enum channel_end end, const char *text);

#endif
