/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receipts: large values that came as descriptors, until the daemon has them back (docs/PROTOCOL.md, Descriptors).
 *
 *   a message -> receipts_open ......... a receipt for each value: its file is mapped, its descriptor closed
 *                receipts_value ........ a value with their bytes in it
 *                receipts_take ......... it stays with whoever has the result, and may outlive the connection
 *                receipts_close ........ what nobody took is at an end
 *   holding_drop, on any thread -> receipts_return, in the connection's: [2, "objpool.give_back", [number, ...]]
 *
 * The daemon fills the same files again and again: mappings are kept for some time, for their pages are warm.
 */
#ifndef CLIENT_RECEIPTS_H
#define CLIENT_RECEIPTS_H

#include "client/holding.h"
#include "proto/arrivals.h"

enum { RECEIPTS_MESSAGE = 64, RECEIPTS_WARM = 8 };

struct receipt;
struct mapping;

struct receipts {
	uint16_t mark;                              /* that the daemon gives its descriptors' values; 0: none come */
	uint32_t number;                            /* of the next descriptor */
	struct receipt *given;                      /* not given back yet */
	struct receipt *message[RECEIPTS_MESSAGE];  /* of the message that is being read; NULL: taken */
	unsigned count;
	struct objpool_bytes shown;                 /* what receipts_value last made of one */
	struct holding *holding;                    /* it lies there; NULL: it has been taken, or lies in message[shown_by] */
	unsigned shown_by;
	struct mapping *warm[RECEIPTS_WARM];
	unsigned warm_count;
};

/* Takes the descriptors of a message. 0; -EBADMSG: some are not there, or can't be mapped; -ENOMEM. */
int receipts_open(struct receipts *receipts, struct arrivals *arrivals, struct objpool_bytes message);

/* `*value`, of that message, becomes one without what stands for descriptors. 0 or -ENOMEM. */
int receipts_value(struct receipts *receipts, struct objpool_bytes *value);

/* What keeps that value, from now on the caller's; NULL: it lies in the message. */
struct holding *receipts_take(struct receipts *receipts, struct objpool_bytes value);

void receipts_close(struct receipts *receipts);

/* Packs what tells the daemon of those that nobody looks at any more, if there are such. */
void receipts_return(struct receipts *receipts, struct objpool_packer *output);

/* Some wait to be given back. */
bool receipts_due(const struct receipts *receipts);

/* Unmaps what has not been used for some calls of this one. */
void receipts_trim(struct receipts *receipts);

void receipts_free(struct receipts *receipts);

#endif
