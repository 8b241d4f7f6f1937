/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: memory that can be handed to other processes: a block that is a mapping of a sealed memfd.
 *
 * Its size is sealed, so that whoever maps it can't be made to fault, and nobody but its maker can write to it. The
 * maker keeps its mapping and fills it again, once it knows that no receiver looks at it any more: the first touch of
 * fresh pages costs eight times the copy into warm ones. What lies idle in a pool for long is given back.
 */
#ifndef PROTO_PAYLOAD_H
#define PROTO_PAYLOAD_H

#include "proto/block.h"

#include <sys/queue.h>

enum {
	PAYLOAD_IDLE = 16,      /* kept to be filled again, at most */
	PAYLOAD_PATIENCE = 5,   /* calls of payload_trim after which an idle one is given back */
};
#define PAYLOAD_KEPT ((size_t)512 << 20) /* bytes that idle ones may hold; see payload_pool.max */

TAILQ_HEAD(payload_list, payload);

struct payload_pool {
	struct payload_list idle; /* the latest first */
	unsigned count;
	size_t held;              /* bytes of their pages */
	size_t max;              /* bytes that they may hold, together */
	struct account *account;  /* idle payloads are charged to it; NULL: to none */
	void (*close)(struct account *account, int fd); /* of large files, see PAYLOAD_LARGE; NULL: close does it */
	unsigned shortage;        /* of descriptors, or memory, not long ago: trims until that is forgotten; 0: none */
};

enum { PAYLOAD_LARGE = 4 << 20 /* bytes of a file, if nobody else has it, that take more than a millisecond to be freed */ };

void payload_pool_init(struct payload_pool *pool, struct account *account);

/*
 * A block with room for `size` bytes, from the pool or new. It goes back to the pool with its last reference. NULL: the
 * system has no memory or descriptor for it. A payload that was shown to a session is used again for that session only. The block
 * is charged to the pool's account until block_move moves the charge.
 */
struct block *payload_new(struct payload_pool *pool, size_t size, uint64_t session);

/* It has been filled so far. */
void payload_filled(struct block *block, size_t size);

/* Gives back what has not been used for PAYLOAD_PATIENCE calls of this one. */
void payload_trim(struct payload_pool *pool);

/* Gives back all that is idle. */
void payload_pool_clear(struct payload_pool *pool);

/* A block for a file that a stranger has made: it takes the descriptor, and maps nothing. The whole file is charged to the
 * account. NULL: out of memory, and the descriptor is closed. `closes` is as payload_pool's `close`. */
struct block *payload_of(int fd, struct account *account, void (*closes)(struct account *account, int fd));

/* May it be mapped: is it a memfd that can't shrink, and has it these bytes? 0 or -EINVAL. */
int payload_check(int fd, uint64_t offset, uint64_t length);

#endif
