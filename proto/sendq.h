/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendq: a queue of bytes that are to be sent to one receiver. It is memory only: the owner of the socket takes the bytes out.
 *
 *   head -> [ off ....... len | room ] -> [ shared block's span ] -> [ off .. len | room ] <- tail
 *
 * Small messages are copied into the last segment. Large spans stay in their block, to which the queue refers: so they are
 * encoded once for many receivers. An empty queue holds no memory.
 *
 * A descriptor has its place among the bytes. It leaves with the bytes before or around it, never later, and descriptors leave
 * in order. The receiver keeps the descriptors that come in a queue, and takes the next one where the bytes say so.
 *
 * Without memory a write sets `failed`. All later bytes are dropped, and the owner closes the connection.
 */
#ifndef PROTO_SENDQ_H
#define PROTO_SENDQ_H

#include "proto/block.h"

#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

enum {
	SENDQ_SEGMENT = 16 << 10, /* room in a segment for small messages */
	SENDQ_FEW = 4 << 10,      /* so many bytes may be kept together, though that leaves room unused */
	SENDQ_SHARE = 16 << 10,   /* a span of so many bytes and more is referred to, not copied */
	SENDQ_PASS = 128,         /* descriptors that leave together, at most */
};

struct sendq_segment {
	struct sendq_segment *next;
	struct block *block; /* a shared span's; NULL: the bytes are this segment's own */
	uint8_t *bytes;
	size_t off, len, room;
	struct account *account; /* its memory is charged to this account */
	bool passes; /* the block's descriptor, and no bytes */
};

/* Descriptors that were sent and that the receiver has not given back: numbered in the order in which they were sent. */
struct sendq_kept {
	struct block **blocks; /* NULL: that one has been given back */
	uint32_t count, room;
	uint64_t first;        /* number of blocks[0] */
	uint32_t waiting;      /* descriptors that have not been sent, in all queues whose `kept` this is */
	size_t bytes;
};

struct sendq {
	struct sendq_segment *head, *tail;
	struct sendq_kept *kept; /* NULL: nobody wants to know. Owned by whoever set it */
	struct account *account; /* the memory of new segments is charged to it; NULL: to none */
	size_t bytes; /* waiting */
	uint32_t descriptors; /* likewise */
	bool many;            /* it is one of very many small queues: its segments are as small as the writes allow, and double */
	bool failed;
};

/* Where up to `size` bytes (at most SENDQ_SEGMENT) can be written; sendq_commit then tells how many they are. NULL: out of
 * memory. */
uint8_t *sendq_reserve_slow(struct sendq *queue, size_t size);
static inline uint8_t *sendq_reserve(struct sendq *queue, size_t size)
{
	struct sendq_segment *tail = queue->tail;
	if (tail && tail->room - tail->len >= size)
		return tail->bytes + tail->len;
	return sendq_reserve_slow(queue, size);
}
/* The same where `more` bytes are added right after: if they are few, they will lie in the same segment, and are sent as one
 * piece. */
static inline uint8_t *sendq_reserve_with(struct sendq *queue, size_t size, size_t more)
{
	return sendq_reserve(queue, size + (more <= SENDQ_FEW ? more : 0));
}
static inline void sendq_commit(struct sendq *queue, size_t size)
{
	queue->tail->len += size;
	queue->bytes += size;
}

/* Adds a copy of any number of bytes. */
void sendq_copy(struct sendq *queue, const void *bytes, size_t size);

/* The same for a msgpack_packer: its `data` is the queue. Packers ignore a failure; `failed` remembers it. Returns 0 or -1. */
int sendq_write(void *queue, const char *bytes, size_t size);

/* Adds a span that lies in `block`: copies it if it is small, otherwise refers to it. `block` NULL: always copies. */
void sendq_span(struct sendq *queue, struct block *block, const uint8_t *bytes, size_t size);

/* Adds the block's descriptor; bytes that speak of it follow. */
void sendq_pass(struct sendq *queue, struct block *block);

/* The descriptors, at most SENDQ_PASS, among the spans that sendq_iov gave `count` of; and: they have been sent. */
unsigned sendq_descriptors(const struct sendq *queue, int count, int *fds);
void sendq_passed(struct sendq *queue, unsigned count);

/* The receiver gives back that descriptor. 0 or -EINVAL. */
int sendq_given_back(struct sendq_kept *kept, uint64_t number);

/* The receiver has gone, and with it all descriptors that it was given. */
void sendq_lose_kept(struct sendq_kept *kept);

/* Moves all that `from` holds to the end of `to`. */
void sendq_move(struct sendq *to, struct sendq *from);

/* Sets `iov` to the first spans, at most `max`. Returns how many. */
int sendq_iov(const struct sendq *queue, struct iovec *iov, int max);

/* Removes `size` bytes from the front, which have been sent. */
void sendq_sent(struct sendq *queue, size_t size);

/* Drops all bytes and descriptors. The queue can be used again. */
void sendq_clear(struct sendq *queue);

#endif
