/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply: the bytes that go back to the supervisor. Collected and written together, and never a message half: when the
 * process crashes in a method, what had been finished before is still sent.
 *
 *   | sent | whole messages ......... | [RESULTS, id, item, [value value | value | value being written
 *   0     sent                     sealed          count_at           gone     ready               size
 *
 * A value that stands alone and grows large goes on in a payload (proto/payload.h), which is lent to the supervisor.
 *
 * Memory. When a value can't grow, `failed` is set and no more of it is taken, until reply_rewind drops it: a value is whole, or
 * its call fails. Each message begins with REPLY_SPARE bytes to spare, so that its head, and a short error in place of its value,
 * need no memory.
 *
 * One thread writes. Another may call reply_nudge, which sends what is whole: that is how an answer gets out although the next
 * method, or item, thought to be short, runs for long. Of the open RESULTS it sends the values that there are, `told`, as a message of
 * their own; they end at `gone`, and the writer drops them when it closes that. The lock guards `sent`, `told` and `gone`, and `bytes` against
 * moving.
 */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "proto/channel.h"
#include "proto/payload.h"

#include <msgpack.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	REPLY_SPARE = 512, /* bytes that there are at least when a message begins */
	REPLY_TAIL = 16,   /* of these, what a value leaves: reply_put may follow */
};

struct reply {
	int fd;
	uint8_t *bytes;
	size_t size, room;
	size_t sent;
	size_t value;      /* where the value being written begins */
	_Atomic size_t sealed; /* whole messages: may be sent */
	size_t ready;      /* whole values of the open RESULTS */
	size_t count_at;   /* of it: where its header has the number of values; 0: none is open */
	_Atomic uint32_t count;
	uint64_t results_item; /* its first */
	uint32_t results_id;
	uint32_t told;     /* values of it that have been sent */
	size_t gone;       /* where they end */
	size_t limit;      /* of `size`, beyond which the value goes on in a payload */
	bool alone;        /* the next value is a REPLY's */
	bool failed;       /* the value being written is not whole: there was no memory for the rest */
	uint64_t session;  /* whose */
	struct block *large;   /* where it goes on; NULL: in `bytes` */
	size_t large_size;
	struct payload_pool payloads;
	struct board *board;
	struct block *lent[LENT_PLACES]; /* NULL: the place is free */
	uint64_t lent_to[LENT_PLACES];   /* the session */
	int passing[LENT_PLACES];        /* descriptors that leave with the next bytes */
	unsigned passing_count;
	pthread_mutex_t lock; /* guards these two as well */
};

/* 0, or -ENOMEM. The descriptor and the board stay the caller's. */
int reply_init(struct reply *reply, int fd, struct board *board);
void reply_free(struct reply *reply);

/* A message begins here: returns where. Sends what is whole when there is no memory to keep it. */
size_t reply_begin(struct reply *reply);

/* Bytes of a message's own: its head, or what follows its value. There is room for them since reply_begin. */
void reply_put(struct reply *reply, const uint8_t *bytes, size_t size);

/* msgpack_packer's way in, for values. -1: the value has failed. */
int reply_append(void *reply, const char *bytes, size_t size);

/* Whole messages, however many: kept, or sent at once when there is no memory. Ends the process when the supervisor has gone. */
void reply_messages(struct reply *reply, const uint8_t *bytes, size_t size);

/* Everything so far is whole messages. */
void reply_seal(struct reply *reply);

/* A value begins here; and: drops what has been written since then, also its failure. */
void reply_mark(struct reply *reply);
void reply_rewind(struct reply *reply);

/* The value so far. */
static inline struct span reply_value(const struct reply *reply)
{
	if (reply->large)
		return (struct span){.bytes = reply->large->bytes, .size = reply->large_size};
	return (struct span){.bytes = reply->bytes + reply->value, .size = reply->size - reply->value};
}

/* The value is whole and lies in a payload: lends it, in place of what was written from `start` on. */
void reply_lend(struct reply *reply, size_t start, uint32_t id);

/* Looks after what has been given back. True: there is something that wants to be looked after again. */
bool reply_tidy(struct reply *reply);

/* [RESULTS, id, item, [ ... ]: opened by the first value, closed by reply_end_results or when flushed. */
void reply_begin_results(struct reply *reply, uint32_t id, uint64_t item);
void reply_value_done(struct reply *reply);
void reply_end_results(struct reply *reply);
static inline bool reply_in_results(const struct reply *reply)
{
	return reply->count_at != 0;
}

/* Sends a message of its own between what is whole and what is being written. 0, or -EIO when the supervisor has gone. */
int reply_aside(struct reply *reply, const uint8_t *message, size_t size);

/* Sends the whole messages. Ends the process when the supervisor has gone. */
void reply_flush(struct reply *reply);

/* From another thread: sends what is whole, as long as the writer is busy elsewhere. */
void reply_nudge(struct reply *reply);

/* The same in a signal handler or at exit. Async-signal-safe. */
void reply_nudge_dying(struct reply *reply);

/* In a child that this process has forked: closes the channel, which is the parent's. What is flushed later ends the child. */
void reply_abandon(struct reply *reply);

/* In a signal handler or at exit, of the writer's own: sends what is whole, the open RESULTS as far as it got. Async-signal-safe. */
void reply_flush_dying(struct reply *reply);

#endif
