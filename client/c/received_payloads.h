/* SPDX-License-Identifier: Apache-2.0 */
/*
 * received_payloads: large values of results that came as descriptors, until they have been given back to the daemon
 * (docs/PROTOCOL.md, Descriptors).
 *
 *   a message -> received_payloads_open ..... maps the file of each such value, and closes its descriptor
 *                received_payloads_value .... puts the bytes into a value
 *                received_payloads_take ..... the value's memory becomes the result's, and may outlive the connection
 *                received_payloads_close .... ends the use of those that no result has taken
 *   result_memory_drop, on any thread
 *             -> received_payloads_give_back, on the connection's: [2, "objpool.give_back", [number, ...]]
 */
#ifndef CLIENT_C_RECEIVED_PAYLOADS_H
#define CLIENT_C_RECEIVED_PAYLOADS_H

#include "client/c/mapped_files.h"
#include "client/c/result.h"
#include "proto/arrivals.h"

struct received_payload;

struct received_payloads {
	uint16_t mark;                                   /* the daemon marks its references so; 0: it sends no descriptors */
	uint32_t next_number;                            /* of the next descriptor, for objpool.give_back */
	struct received_payload *held;                   /* not given back yet */
	struct received_payload *message[PAYLOAD_FILES]; /* of the message that is being read; NULL: a result has it */
	unsigned count;                                  /* in `message` */
	struct objpool_bytes shown;                      /* the value that received_payloads_value made last */
	struct result_memory *memory; /* `shown` is a copy in this memory; NULL: it is taken, or lies in message[shown_by] */
	unsigned shown_by;
	struct mapped_files files;
};

/* Takes the descriptors of a message. 0; -EBADMSG: some did not come, or can't be mapped; -ENOMEM. */
int received_payloads_open(struct received_payloads *received, struct arrivals *arrivals, struct objpool_bytes message);

/* Replaces `*value`, a value of that message, by the value with all its bytes, if it refers to descriptors. 0 or -ENOMEM. */
int received_payloads_value(struct received_payloads *received, struct objpool_bytes *value);

/* Hands the memory of that value over to the caller. NULL: the value lies in the message. */
struct result_memory *received_payloads_take(struct received_payloads *received, struct objpool_bytes value);

/* Ends the message: what no result has taken can be given back. */
void received_payloads_close(struct received_payloads *received);

/* Is there any that can be given back? */
bool received_payloads_are_due(const struct received_payloads *received);

/* Packs the notification that gives back what no result uses any more, if there is any. */
void received_payloads_give_back(struct received_payloads *received, struct objpool_packer *output);

void received_payloads_free(struct received_payloads *received);

#endif
