/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block: reference-counted bytes. A read from a socket fills a block; a call keeps a reference to its request in it; several send
 * queues can refer to it at once. So large values are passed on without a copy.
 *
 * Large blocks (from BLOCK_LARGE on) are mapped and grow by remapping, without a copy. A block with a descriptor can be
 * handed to another process: see payload.h. Not thread-safe.
 */
#ifndef PROTO_BLOCK_H
#define PROTO_BLOCK_H

#include "proto/account.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_LARGE = 1 << 20 };
#define BLOCK_MANY UINT64_MAX

struct block {
	uint32_t refs;
	uint32_t mapped; /* came from mmap */
	size_t capacity;
	uint8_t *bytes;
	int fd;                        /* of the file that the bytes are a mapping of; -1: none */
	struct block_files *files;     /* files that values in the bytes stand for; NULL: none. Owned */
	void (*drop)(struct block *);  /* called when the last reference is gone; NULL: frees the block */
	bool given_away;               /* once it is sent, its descriptor is the receiver's: it is not given back */
	bool spoilt;                   /* somebody may look at the file for ever: it is not filled again */
	uint64_t shown_to;             /* the session that has the file's descriptor, and may keep it; 0: none */
	size_t touched;                /* bytes at its beginning that were ever filled: others' may lie there */
	uint64_t filled_for;           /* the one session for which that was; BLOCK_MANY: for several */
	struct account *account;       /* its memory is charged to this account; NULL: to none */
	uint64_t charged;
};

/* Descriptors that came with a message, in the order of the values that stand for them; one reference of each. */
struct block_files {
	uint32_t count;
	struct block *file[];
};

/* A new block with room for `capacity` bytes and one reference, charged to `account` (NULL: to none). NULL: out of memory. */
struct block *block_new(struct account *account, size_t capacity);

/* Charges the block, and `bytes` of memory that come with it, to this account, and to no other from now on. */
void block_charge(struct block *block, struct account *account, uint64_t bytes);

/* Moves the block's charge to another account. */
void block_move(struct block *block, struct account *account);

/* Makes room for `capacity` bytes in a large block that nobody else refers to; bytes may move. 0 or -ENOMEM. */
int block_grow(struct block *block, size_t capacity);

static inline struct block *block_ref(struct block *block)
{
	block->refs++;
	return block;
}

/* Drops one reference; accepts NULL; returns NULL. */
struct block *block_unref(struct block *block);

#endif
