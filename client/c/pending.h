/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending: the calls in flight by msgid, and their deadlines.
 *
 * Msgids count up and are used again only after four billion calls: a late answer to a call that has timed out finds no other
 * call. A call is at msgid modulo the table's size. A msgid whose place is taken is skipped. The table doubles when half of it
 * is taken; calls that are at different places then stay at different places.
 */
#ifndef CLIENT_C_PENDING_H
#define CLIENT_C_PENDING_H

#include "objpool/client.h"

struct pending_call {
	uint32_t msgid; /* 0: the place is free */
	uint32_t rank;  /* its place in the heap of deadlines, if it has a deadline */
	objpool_callback *callback;
	void *context;
	int64_t deadline;                       /* 0: none */
	struct objpool_stream *stream;          /* or NULL: its results do not come one by one */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
	struct sent_payload *payloads; /* of its arguments */
	struct channel *channel;       /* the direct channel that it was sent on; NULL: it was sent on the connection */
	struct channel_message *message; /* of a channel: its message */
	uint32_t method;               /* a hash, of a call that could go on a channel; 0: it could not */
	bool collects;                 /* its answer is a value, also when instances have failed */
};

struct pending {
	struct pending_call *table;
	uint32_t size, count, last_id;
	uint32_t *deadlines; /* a binary heap of msgids, the earliest first */
	uint32_t deadline_count, deadline_capacity;
};

/* Adds a copy of the call. Sets the msgid, which is never 0, in the copy and in `call`. 0 or -ENOMEM. */
int pending_add(struct pending *pending, struct pending_call *call);

/* The call with this msgid, valid until a call is added or taken out; NULL: there is none. */
struct pending_call *pending_find(const struct pending *pending, uint32_t msgid);

/* Takes out the call with this msgid. False: there is none. */
bool pending_take(struct pending *pending, uint32_t msgid, struct pending_call *call);

/* Takes out a call whose deadline has passed. False: there is none. */
bool pending_take_expired(struct pending *pending, int64_t now, struct pending_call *call);

/* Takes out any call. False: there is none. `*place` must be 0 at first: it goes round the table. */
bool pending_take_any(struct pending *pending, uint32_t *place, struct pending_call *call);

/* The earliest deadline, or 0. */
int64_t pending_deadline(const struct pending *pending);

void pending_free(struct pending *pending);

#endif
