/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: memory that can be handed to other processes: a block that is a mapping of a sealed memfd.
 *
 * Its size is sealed, so that access to it can't fault in a process that maps it. Only its maker can write to it. The maker
 * keeps its mapping, and fills it again once no receiver uses it any more: the first touch of fresh pages costs eight times the
 * copy into warm ones. A pool frees payloads that are idle for long.
 */
#ifndef PROTO_PAYLOAD_H
#define PROTO_PAYLOAD_H

#include "proto/block.h"

#include <sys/queue.h>

enum {
	PAYLOAD_IDLE = 16,      /* payloads that are kept to be filled again, at most */
	PAYLOAD_PATIENCE = 5,   /* calls of payload_trim after which an idle payload is freed */
};
#define PAYLOAD_KEPT ((size_t)512 << 20) /* bytes that idle payloads may hold; see payload_pool.max */

TAILQ_HEAD(payload_list, payload);

struct payload_pool {
	struct payload_list idle; /* the latest first */
	unsigned count;
	size_t held;              /* bytes of the pages of idle payloads */
	size_t max;               /* bytes that all of them may hold */
	struct account *account;  /* idle payloads are charged to it; NULL: to none */
	void (*close)(struct account *account, int fd); /* closes large files, see PAYLOAD_LARGE; NULL: close(2) does */
	unsigned shortage;        /* of descriptors or memory: calls of payload_trim until it is forgotten; 0: none lately */
};

enum { PAYLOAD_LARGE = 4 << 20 /* bytes of a file, if nobody else has it, that take more than a millisecond to be freed */ };

void payload_pool_init(struct payload_pool *pool, struct account *account);

/*
 * A block with room for `size` bytes, from the pool or new. It goes back to the pool with its last reference. NULL: the
 * system has no memory or descriptor for it. A payload that was shown to a session is used again for that session only. The block
 * is charged to the pool's account until block_move moves the charge.
 */
struct block *payload_new(struct payload_pool *pool, size_t size, uint64_t session);

/* Tells that `size` bytes of the payload have been filled. */
void payload_filled(struct block *block, size_t size);

/* Frees payloads that have not been used for PAYLOAD_PATIENCE calls of this function. */
void payload_trim(struct payload_pool *pool);

/* Frees all idle payloads. */
void payload_pool_clear(struct payload_pool *pool);

/* A block for a file that a client has made. It owns the descriptor, and maps nothing. The whole file is charged to the
 * account. NULL: out of memory, and the descriptor is closed. `closes` is as payload_pool's `close`. */
struct block *payload_of(int fd, struct account *account, void (*closes)(struct account *account, int fd));

/* Checks that the file can be mapped: it is a memfd that can't shrink, and has these bytes. 0 or -EINVAL. */
int payload_check(int fd, uint64_t offset, uint64_t length);

#endif
