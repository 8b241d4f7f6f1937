/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: a connected stream socket, with what waits to be sent and what has come. It knows messages' ends, not their sense.
 *
 *   output:  | sent ...... | waiting to be sent ....... size | room |        packed in place by whoever has something to say
 *                                  ^ lent_at: here the lent bytes come between, which are sent from where they lie
 *   input:   | passed .... begin | message | message | part of one ... end | room |
 *
 * One write sends all that waits; one read brings all the messages that have come; a message that comes in pieces is scanned
 * once. A message with descriptors begins a write of its own, which they leave with: its first bytes and they arrive together.
 * The socket is a blocking one, so that a read can wait by itself; what must not wait says so with its system call.
 */
#ifndef CLIENT_WIRE_H
#define CLIENT_WIRE_H

#include "objpool/client.h"
#include "proto/arrivals.h"
#include "proto/block.h"
#include "proto/scan.h"

/* A descriptor that leaves with the message that begins at `at` in the output. */
struct wire_pass {
	size_t at;
	struct block *block;
};

struct wire {
	int fd;
	struct objpool_packer output; /* its `error` is cleared by who packs, together with what was packed in part */
	size_t sent;
	struct objpool_bytes lent; /* what is left of them to be sent */
	size_t lent_at;
	unsigned char *input;
	size_t begin, end, capacity;
	struct scan scan; /* of the message at `begin` */
	struct wire_pass *passes; /* in order */
	size_t pass_count, pass_room;
	bool receives;             /* descriptors that come are kept in `arrivals` */
	struct arrivals arrivals;
	bool refers;               /* the message that wire_next gave has values that may stand for descriptors */
};

/* Takes the descriptor, and makes it a blocking one. */
void wire_open(struct wire *wire, int fd);
void wire_close(struct wire *wire);

/* How many bytes wait to be sent. */
static inline size_t wire_unsent(const struct wire *wire)
{
	return wire->output.size - wire->sent + wire->lent.size;
}

/*
 * Puts a large value at the output's end without copying it; one at a time. It must stay until it is sent, or
 * wire_keep_lent has copied what is not.
 */
void wire_lend(struct wire *wire, struct objpool_bytes value);
void wire_keep_lent(struct wire *wire);

/*
 * The block's descriptor goes with the message that begins at `at`. Without memory the output's error is set. wire_passing: how
 * many do so far, if it is the last message; at most PAYLOAD_FILES may. wire_unpass: those from `at` on don't.
 */
void wire_pass(struct wire *wire, size_t at, struct block *block);
size_t wire_passing(const struct wire *wire, size_t at);
void wire_unpass(struct wire *wire, size_t at);

/* Sends what the socket takes. 0: all; 1: some is left; a negative errno. */
int wire_flush(struct wire *wire);

/*
 * Reads once; `wait` for the first byte, or not. Moves what wire_next gave. How many bytes came; 0: none now; -ECONNRESET:
 * the end; another negative errno. `*more` says that there may be more.
 */
int64_t wire_fill(struct wire *wire, bool wait, bool *more);

/* The next whole message, which stays in place until wire_fill. 1, 0: none is whole; -EBADMSG. */
int wire_next(struct wire *wire, struct objpool_bytes *message);

/*
 * Gives the whole input buffer away, for a large value that lies in it and fills the better part of it: the memory, for
 * free(). NULL: it doesn't, or there is no memory for another buffer.
 */
void *wire_take_input(struct wire *wire, struct objpool_bytes value);

#endif
