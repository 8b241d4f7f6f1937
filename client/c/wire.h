/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: a connected stream socket with its output and input. It finds where messages end, and does not read what they say.
 *
 *   output:  | sent ...... | to be sent ................ size | room |   requests are packed here, in place
 *                                  ^ lent_at: the lent bytes are sent here, from where they lie
 *   input:   | read ...... begin | message | message | part of a message ... end | room |
 *
 * One system call sends all that waits, and one reads all messages that have come. A message that comes in pieces is scanned
 * once. A message with descriptors begins a sendmsg of its own, which has the descriptors: its first bytes and they arrive
 * together. The socket is a blocking one, so that a read can wait. A system call that must not wait has MSG_DONTWAIT.
 */
#ifndef CLIENT_C_WIRE_H
#define CLIENT_C_WIRE_H

#include "client/c/client_tls.h"
#include "objpool/client.h"
#include "proto/arrivals.h"
#include "proto/block.h"
#include "proto/rings.h"
#include "proto/scan.h"

/* A descriptor that is sent with the message that begins at `at` in the output. */
struct wire_descriptor {
	size_t at;
	struct block *block;
};

struct wire {
	int fd;
	struct rings *rings;    /* of a direct channel: bytes go through them, and the socket only ends; NULL: there are none */
	struct client_tls *tls; /* of an address with TLS: bytes go through it to the socket; or NULL */
	struct objpool_packer output; /* after a failure, whoever packed clears its `error` and removes what was packed in part */
	size_t sent;
	struct objpool_bytes lent; /* the rest that is to be sent */
	size_t lent_at;
	unsigned char *input;
	size_t begin, end, capacity;
	struct scan scan;                    /* of the message at `begin` */
	struct wire_descriptor *descriptors; /* to be sent, in the order of the messages */
	size_t descriptor_count, descriptor_room;
	bool takes_descriptors; /* those that come are kept in `arrivals` */
	struct arrivals arrivals;
	bool has_references; /* the message that wire_next returned may have values that stand for descriptors */
};

/* Takes over the socket, and makes it a blocking one. */
void wire_open(struct wire *wire, int fd);
void wire_close(struct wire *wire);

/* How many bytes wait to be sent. */
static inline size_t wire_unsent(const struct wire *wire)
{
	return wire->output.size - wire->sent + wire->lent.size + (wire->tls ? client_tls_unsent(wire->tls) : 0);
}

/*
 * Adds a large value to the output without copying it; there can be one at a time. It must stay as it is until it is sent, or
 * until wire_keep_lent copies the rest of it to the output. If there is no memory for that, the output's error is set.
 */
void wire_lend(struct wire *wire, struct objpool_bytes value);
void wire_keep_lent(struct wire *wire);

/*
 * Sends the block's descriptor with the message that begins at `at`; at most PAYLOAD_FILES can go with one. If there is no
 * memory, the output's error is set.
 */
void wire_attach(struct wire *wire, size_t at, struct block *block);

/* How many descriptors are attached to the last message of the output, which begins at `at`. */
size_t wire_attached(const struct wire *wire, size_t at);

/* Removes the descriptors of the message at `at` and of those after it. */
void wire_detach(struct wire *wire, size_t at);

/* Sends what the socket takes. 0: all is sent; 1: some is left; or a negative errno. */
int wire_flush(struct wire *wire);

/*
 * Reads once, and waits for the first byte if `wait`. Invalidates the message that wire_next returned. Returns how many bytes
 * came; 0: none now; -ECONNRESET: the end of the stream; or another negative errno. `*more`: there may be more to read.
 */
int64_t wire_fill(struct wire *wire, bool wait, bool *more);

/*
 * Finds the next whole message, which stays in place until wire_fill. 1; 0: no message is whole; -EBADMSG: these bytes are
 * none.
 */
int wire_next(struct wire *wire, struct objpool_bytes *message);

/*
 * Hands the input buffer over to the caller, who frees it, and makes a new one. Does so only if `value` lies in the buffer and
 * takes at least half of it. NULL: it does not, or there is no memory for a new buffer.
 */
void *wire_take_input(struct wire *wire, struct objpool_bytes value);

#endif
