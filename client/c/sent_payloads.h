/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sent_payloads: large bins and exts of requests, which go to the daemon by descriptor (docs/PROTOCOL.md, Descriptors).
 *
 * Each is copied into a sealed memfd (proto/payload.h). Its call has the memfd until the daemon answers; then it is filled again.
 * It is not filled again after a failure, because another instance may still be reading its bytes. What lies in a packer's
 * shared memory is not copied.
 */
#ifndef CLIENT_C_SENT_PAYLOADS_H
#define CLIENT_C_SENT_PAYLOADS_H

#include "client/c/wire.h"
#include "proto/payload.h"

enum {
	SENT_PAYLOAD_MIN = 64 << 10, /* bytes of a value that goes by descriptor */
	SENT_PAYLOADS_MAX = 64,      /* at most so many are at the daemon; further values go as bytes */
};

struct shared_memory;

/* One such value. A call has a list of them. */
struct sent_payload {
	struct sent_payload *next;
	struct block *block;
	uint64_t item; /* of a fed map: which item it belongs to */
};

struct sent_payloads {
	bool enabled;                 /* the daemon takes descriptors */
	unsigned count;               /* in the lists of all calls */
	struct payload_pool idle;     /* memfds to be filled again */
	struct shared_memory *shared; /* the memory of packers */
};

/*
 * Which of the values need sent_payloads_pack. SENT_LARGE: some go by descriptor. SENT_LOOKALIKE: the program itself has packed
 * an ext that the daemon would take for a reference to a descriptor; a message with such an ext can't have descriptors.
 */
enum { SENT_LARGE = 1, SENT_LOOKALIKE = 2 };
unsigned sent_payloads_find(const struct sent_payloads *sent, struct objpool_bytes values);

/* False: there is certainly no lookalike among them. Is faster than sent_payloads_find. */
bool sent_payloads_may_have_lookalike(const struct sent_payloads *sent, struct objpool_bytes values);

/*
 * Packs values into the message that begins at `mark` in the wire's output. Adds the large ones to `list`, the newest first. They
 * are packed as bytes if `list` is NULL, or if there are no descriptors or no memory left.
 */
void sent_payloads_pack(struct sent_payloads *sent, struct wire *wire, size_t mark, struct objpool_bytes values,
			struct sent_payload **list);

/* Empties the list of a call, or item, that is answered. `in_use`: an instance may still be reading the bytes. */
void sent_payloads_release(struct sent_payloads *sent, struct sent_payload **list, bool in_use);

void sent_payloads_free(struct sent_payloads *sent);

#endif
