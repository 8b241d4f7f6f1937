/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conduit: a reliable, ordered stream of frames in both directions between two incarnations of gateways, over a bus that loses,
 * delays, doubles and reorders. What the frames are is channel.c's matter (struct conduit_ops).
 *
 *   0        1      2  4                  12               20     28   36   44   52
 *   version | flags | 0 | from incarnation | to incarnation | epoch | seq | ack | sum | frames ... (integers: big-endian)
 *
 * seq counts the packets that have frames, from 1; 0: the packet has none. ack: all packets up to this one have arrived. sum: see
 * sum.h; a packet whose sum is wrong counts as lost. A packet without an answer is sent again, after a time that follows the
 * round trip and doubles. What comes twice is dropped and counted, what comes early is kept until the gap is filled.
 *
 * An epoch is one life of a conduit. It dies when nothing that was sent is acknowledged for two seconds, when nothing is heard
 * while it has channels, or when the host is gone. Then both sides forget all of it, and the next conduit has a higher epoch.
 * Packets of a lower epoch are dropped, counted, and answered by a bare packet: so the other side learns that its conduit is
 * dead. As nothing is taken from one epoch into the next, what was sent is delivered once at most, for as long as the incarnation
 * lives.
 */
#ifndef GATEWAY_CONDUIT_H
#define GATEWAY_CONDUIT_H

#include "gateway/core/hosts.h"

enum {
	CONDUIT_HEAD = 52,
	CONDUIT_PACKETS = 256,    /* unacknowledged, at most */
	CONDUIT_WINDOW = 4 << 20, /* bytes of them; a packet may go beyond */
};

#define CONDUIT_DEAD_AFTER (2 * SECOND)

struct packet {
	struct packet *next;
	uint64_t seq, first_sent, sent;
	uint32_t tries;
	bool published; /* it may have left this host, at some try */
	size_t size;
	uint8_t bytes[]; /* header and frames */
};

struct channel;
TAILQ_HEAD(channel_list, channel);

struct conduit {
	struct gateway_ending ending;
	struct gateway *gateway;
	struct host *host;
	uint64_t epoch;
	bool dead;
	struct conduit_list *list; /* gateway->dirty, or gateway->stuck; NULL: it is on none */
	TAILQ_ENTRY(conduit) entry; /* of `list` */
	struct timer tick;
	/* sending */
	uint64_t last_seq, recover; /* recover: packets up to this one were under way when one was found lost */
	struct packet *unacked, *unacked_last;
	uint32_t unacked_count, same_acks;
	size_t unacked_bytes;
	uint64_t acked_at, resend_after;
	/* receiving */
	uint64_t received;
	struct packet *early; /* by seq */
	uint32_t early_count;
	size_t early_bytes;
	bool ack_now;
	uint64_t ack_since; /* since when something is to be acknowledged; 0: nothing */
	uint32_t ack_packets; /* since then */
	size_t ack_bytes;     /* likewise */
	uint64_t heard, pinged;
	bool ponged;
	/* channel.c's */
	struct idmap channels;
	struct channel_list ready;
	uint32_t last_channel, opened_by_peer;
};

struct conduit_ops {
	/* How many bytes of frames are waiting; a rough number, 0 only if there are none. */
	size_t (*waiting)(const struct conduit *conduit);
	/* Writes frames, at most `room` bytes. How many. */
	size_t (*fill)(struct conduit *conduit, uint8_t *to, size_t room);
	/* Frames have come. 0, or -EBADMSG: the conduit dies. */
	int (*take)(struct conduit *conduit, struct span frames);
	/* The conduit is dead. What it held is lost. */
	void (*died)(struct conduit *conduit);
	/* The conduit dies, and these frames have never left this host. */
	void (*unsent)(struct conduit *conduit, struct span frames);
};

/* The conduit to a host that is there, made if need be. NULL: out of memory, or the host is gone. */
struct conduit *conduit_to(struct host *host);

/* There may be frames to send: at the end of the turn. */
void conduit_touch(struct conduit *conduit);

void conduit_on_packet(struct gateway *gateway, struct span from, struct span bytes);

/* The host is gone (hosts->gone). */
void conduit_host_gone(struct host *host);

/* At the end of a turn: sends what there is to send. */
void conduits_flush(struct gateway *gateway);

/* Has all that was sent been acknowledged, on all conduits? */
bool conduits_are_quiet(const struct gateway *gateway);

/* The process stood still for so long. */
void conduits_forgive(struct gateway *gateway, uint64_t time);

#endif
