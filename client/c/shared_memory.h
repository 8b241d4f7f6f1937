/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_memory: the memory of a packer that objpool_packer_share has set up. It is a sealed memfd (proto/payload.h): bytes
 * that are packed there reach workers by descriptor, without a copy.
 *
 * The packer uses the memory, and so does each request that refers to it. The last of them to end unmaps it, on any thread. The
 * connection lists the memory of its packers, to recognize bytes that lie there. shared_memory_sweep drops ended entries of the
 * list.
 */
#ifndef CLIENT_C_SHARED_MEMORY_H
#define CLIENT_C_SHARED_MEMORY_H

#include "proto/block.h"

#include <stddef.h>
#include <stdint.h>

struct shared_memory;

/* Makes memory of `size` bytes for a packer, and adds it to the list. Returns its bytes; NULL: out of memory or descriptors. */
unsigned char *shared_memory_new(struct shared_memory **list, size_t size, struct shared_memory **memory);

/* Ends the packer's use. */
void shared_memory_drop(struct shared_memory *memory);

/*
 * Finds the memory that these bytes lie in. Returns a block with its descriptor, which a request uses until it drops its
 * reference, and sets `*offset` to where the bytes are in the file. NULL: the bytes lie elsewhere, or there is no memory for
 * the block.
 */
struct block *shared_memory_find(struct shared_memory *list, const uint8_t *bytes, size_t size, uint64_t *offset);

/* Removes entries from the list: those that nobody uses any more; shared_memory_forget: all. */
void shared_memory_sweep(struct shared_memory **list);
void shared_memory_forget(struct shared_memory **list);

#endif
