/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending: the calls in flight, by msgid, and the earliest of their deadlines.
 *
 * Msgids count up, so that an answer that comes after its call was given up meets nobody for four billion calls. A call lies
 * at msgid modulo the table's size; an id whose place a slow call still has is passed over. When half is taken the table
 * doubles, and two calls never meet on the way.
 */
#ifndef CLIENT_PENDING_H
#define CLIENT_PENDING_H

#include "objpool/client.h"

struct pending_call {
	uint32_t msgid; /* 0: the place is free */
	uint32_t rank;  /* where it stands among the deadlines, if it has one */
	objpool_callback *callback;
	void *context;
	int64_t deadline;                       /* 0: none */
	struct objpool_stream *stream;          /* or NULL: its results do not come one by one */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
	struct sent_payload *payloads; /* of its arguments */
	bool collects;                 /* its answer is a value, also when instances have failed */
};

struct pending {
	struct pending_call *table;
	uint32_t size, count, last_id;
	uint32_t *deadlines; /* a binary heap of msgids, the earliest first */
	uint32_t deadline_count, deadline_capacity;
};

/* Adds a copy of the call, and gives it and `call` its msgid, never 0. 0 or -ENOMEM. */
int pending_add(struct pending *pending, struct pending_call *call);

/* The call with that id, in place until a call is added or taken out; NULL: there is none. */
struct pending_call *pending_find(const struct pending *pending, uint32_t msgid);

/* Takes out the call with that id; false: there is none. */
bool pending_take(struct pending *pending, uint32_t msgid, struct pending_call *call);

/* Takes out a call whose deadline has passed. */
bool pending_take_expired(struct pending *pending, int64_t now, struct pending_call *call);

/* Takes out any call. `*place` is 0 at first, and goes round the table. */
bool pending_take_any(struct pending *pending, uint32_t *place, struct pending_call *call);

/* The earliest deadline, or 0. */
int64_t pending_deadline(const struct pending *pending);

void pending_free(struct pending *pending);

#endif
