/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared: a packer's room that is a payload: what is packed there reaches workers without being copied.
 *
 * The packer and requests under way each keep the memory; whoever is the last unmaps it, on any thread. The connection has
 * the packers' list, to know their bytes when it meets them, and sweeps those out that are gone.
 */
#ifndef CLIENT_SHARED_H
#define CLIENT_SHARED_H

#include "objpool/client.h"
#include "proto/block.h"

struct shared;

/* A block for a request with these bytes, which lie at `*offset` of its file. NULL: they lie elsewhere. */
struct block *shared_find(struct shared *list, const uint8_t *bytes, size_t size, uint64_t *offset);

/* Room for the packer, added to the list. Its memory, or NULL. */
unsigned char *shared_new(struct shared **list, size_t size, struct shared **shared);

/* The packer goes. */
void shared_drop(struct shared *shared);

/* The list forgets those whose packer is gone; shared_leave: all, the connection goes. */
void shared_sweep(struct shared **list);
void shared_leave(struct shared **list);

#endif
