/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parcels: large bins and exts of requests, on their way as descriptors (docs/PROTOCOL.md, Descriptors).
 *
 * Each is copied into a sealed memfd, a payload of proto/payload.h, that belongs to its call until that is answered, and is filled
 * again then. It is not after a failure: another instance may still be at work on the same bytes. What lies in a shared packer
 * (shared.h) is not copied.
 */
#ifndef CLIENT_PARCELS_H
#define CLIENT_PARCELS_H

#include "client/wire.h"
#include "proto/payload.h"

enum {
	PARCELS_LEAST = 64 << 10, /* bytes of a value that travels so */
	PARCELS_OUT = 64,         /* under way at once; the rest goes as bytes */
};

struct shared;

struct parcel {
	struct parcel *next;
	struct block *block;
	uint64_t item; /* of a stream */
};

struct parcels {
	bool on; /* the daemon takes descriptors */
	unsigned out;
	struct payload_pool warm;
	struct shared *shared; /* packers of this connection */
};

/*
 * What makes parcels_pack necessary: values that travel by descriptor, and exts of the program's own that look as if they did. A
 * message with such an ext has no descriptors: nobody could tell the two apart.
 */
enum { PARCELS_LARGE = 1, PARCELS_ALIKE = 2 };
unsigned parcels_find(const struct parcels *parcels, struct objpool_bytes values);

/* A quick look: false, there is no such ext. */
bool parcels_may_be_alike(const struct parcels *parcels, struct objpool_bytes values);

/*
 * Packs values into the message that begins at `mark` in the wire's output. Their large ones go to `list`, newest first; without a
 * list, or without memory or descriptors, they are packed as bytes.
 */
void parcels_pack(struct parcels *parcels, struct wire *wire, size_t mark, struct objpool_bytes values, struct parcel **list);

/* Empties the list: what it was for is answered, so that the memory can be filled again unless it is `spoilt`. */
void parcels_done(struct parcels *parcels, struct parcel **list, bool spoilt);

void parcels_free(struct parcels *parcels);

#endif
