/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection: struct objpool_client, and what is packed into its output.
 *
 * A program's call goes down these files: client_call, start, client_request, connection, wire. What comes from the daemon goes
 * up: wire, incoming, answer, the program's callback. turn.h has the order in which a connection does these things.
 */
#ifndef CLIENT_C_CONNECTION_H
#define CLIENT_C_CONNECTION_H

#include "client/c/channel.h"
#include "client/c/pending.h"
#include "client/c/received_payloads.h"
#include "client/c/sent_payloads.h"
#include "client/c/wire.h"
#include "objpool/client.h"

enum { LARGE_METHODS = 32 };

/* The direct channels of a connection. */
struct channels {
	bool enabled; /* the program wants channels, and the daemon has them */
	int epoll;    /* of the connection's socket and those of all channels (readiness.h); -1: there are no channels */
	struct route *routes;
	bool rings;                    /* channels are to have rings */
	uint32_t with_rings;           /* channels that have some */
	uint64_t turn;                 /* in which rings are read: how many there were */
	uint64_t round;                /* likewise: in a round each channel whose rings have something is read once */
	int nudge;                     /* an eventfd in the set: see readiness_nudge; -1: there are no rings */
	struct channel *reads;         /* the channel whose messages are handled now; NULL: they are the connection's */
	bool heard;                    /* the last turn found something to read */
	bool awaits_room;              /* of the connection's socket: see readiness.h */
	uint32_t attaches;             /* objpool.attach that are not answered */
	uint32_t own_calls;            /* in flight, that the library has made by itself */
	uint32_t large[LARGE_METHODS]; /* methods whose last results were large, by pending_call.method */
};

struct objpool_client {
	struct wire wire;
	struct channels channels;
	struct pending pending;
	struct sent_payloads sent;
	struct received_payloads received;
	int64_t trim_at; /* when to look for idle memory of large values that can be freed; 0: there is none */
	struct objpool_result hello;
	objpool_notification *on_notification;
	void *notification_context;
	struct objpool_stream *streams, **streams_end; /* under way, the oldest first */
	const struct objpool_error *close_error;       /* the daemon said why it closes the connection; or NULL */
	int lost;                                      /* 0, or why the connection is lost: a negative errno */
	bool send_failed; /* it was lost in a send: what the daemon sent before can still be received */
	bool dispatching; /* a turn is under way: no other may begin */
	bool closing;     /* objpool_close was called: the connection is freed at the end of the turn */
};

/* Takes over the socket. NULL: out of memory, and the socket is closed. */
struct objpool_client *connection_new(int fd);
void connection_free(struct objpool_client *client);

/* Begins a message in the output: `*mark` is for connection_commit. 0, or -ENOTCONN: the connection is lost or closes. */
int connection_begin(struct objpool_client *client, size_t *mark);

/* Ends the message. If something could not be packed, removes the message and returns the packer's error. */
int connection_commit(struct objpool_client *client, size_t mark);

/* Packs values into the message that begins at `mark`, without descriptors. */
void connection_pack_values(struct objpool_client *client, size_t mark, struct objpool_bytes values);

/* Copies lent bytes that have not been sent: their owner, who called wire_lend, returns to the program. */
void connection_keep_lent(struct objpool_client *client);

#endif
