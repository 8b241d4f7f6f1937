/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply: the bytes that go back to the supervisor. They are collected and sent together. Only whole messages are sent: when the
 * process crashes in a method, the messages that were finished before are still sent.
 *
 *   | sent | whole messages ......... | [RESULTS, id, item, [value value | value | value being written
 *   0     sent                     sealed          count_at           gone     ready               size
 *
 * A value that stands alone and grows large goes on in a payload (proto/payload.h), which is lent to the supervisor.
 *
 * Memory. When there is no memory for a value, `failed` is set, and the rest of the value is dropped, until reply_rewind drops
 * its beginning, too: a value is whole, or its call fails. The same happens to a value that outgrows `max_value`. Each message
 * begins with room for REPLY_SPARE bytes, so that its head, and a short error in place of its value, need no memory.
 *
 * One thread writes. Another may call reply_nudge, which sends what is whole: that is how an answer gets out although the next
 * method, or item, thought to be short, runs for long. It also sends the values that the open RESULTS has so far, as a message
 * of their own: `told` values, which end at `gone`. The writer drops them when it closes the RESULTS. The lock guards `sent`,
 * `told` and `gone`, and `bytes` against moving.
 */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "proto/channel.h"
#include "proto/msgpack_bytes.h"
#include "proto/payload.h"
#include "proto/read.h"

#include <msgpack.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	REPLY_SPARE = 512, /* bytes of room that there are at least when a message begins */
	REPLY_TAIL = 16,   /* of them, room that values leave for reply_put */
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
	uint64_t results_item; /* its first item */
	uint32_t results_id;
	uint32_t told;     /* its values that reply_nudge has sent */
	size_t gone;       /* where these end in `bytes` */
	size_t limit;      /* of `size`, beyond which the value goes on in a payload */
	bool alone;        /* the next value is a REPLY's */
	bool failed;       /* the value being written is not whole: there was no memory for the rest, or it is too large */
	uint64_t max_value; /* bytes that the value being written may have */
	uint64_t too_large; /* how many it would have had; 0: not more than that */
	uint64_t session;  /* whose */
	struct block *large;   /* where it goes on; NULL: in `bytes` */
	size_t large_size;
	struct payload_pool payloads;
	struct board *board;
	struct block *lent[LENT_PLACES]; /* NULL: the place is free */
	uint64_t lent_to[LENT_PLACES];   /* the session */
	int passing[LENT_PLACES];        /* descriptors that leave with the next bytes */
	unsigned passing_count;
	void (*beside)(struct reply *reply, bool forked); /* of the direct channels, NULL: there are none: the process dies on the
							   * writer's thread, and sends what is finished; or it is a child that
							   * has been forked, and closes them. Async-signal-safe */
	pthread_mutex_t lock; /* guards these two as well */
};

/* 0, or -ENOMEM. The descriptor and the board stay the caller's. */
int reply_init(struct reply *reply, int fd, struct board *board);
void reply_free(struct reply *reply);

/* Begins a message: returns its place in `bytes`. When there is no memory to keep the messages before it, sends them. */
size_t reply_begin(struct reply *reply);

/* Writes bytes of the message around its value: the head, or what follows the value. reply_begin has made room for them. */
void reply_put(struct reply *reply, const uint8_t *bytes, size_t size);

/* Writes the beginning of a message to `p`: an array of up to 15 fields, and the first of them, the type. Returns where the next
 * byte goes. */
enum { REPLY_TYPE = 2 /* bytes of it */ };
static inline uint8_t *reply_pack_type(uint8_t *p, unsigned fields, enum from_worker type)
{
	p[0] = (uint8_t)(BYTE_FIXARRAY | fields);
	p[1] = (uint8_t)type;
	return p + REPLY_TYPE;
}

/* The same as the next bytes of the reply. */
static inline void reply_put_type(struct reply *reply, unsigned fields, enum from_worker type)
{
	uint8_t head[REPLY_TYPE];
	(void)reply_pack_type(head, fields, type);
	reply_put(reply, head, sizeof head);
}

/* The callback of msgpack_packers that write values. 0; -1: the value has failed. The bytes of a value that is too large are only
 * counted. */
int reply_append(void *reply, const char *bytes, size_t size);

/* Adds whole messages, however many; when there is no memory, sends them at once. Ends the process when the supervisor has
 * gone. */
void reply_messages(struct reply *reply, const uint8_t *bytes, size_t size);

/* Drops what was written from `start` on, where a message began: it does not go to the supervisor. */
void reply_drop(struct reply *reply, size_t start);

/* Declares that all bytes so far are whole messages. */
void reply_seal(struct reply *reply);

/* Begins a value of at most `max` bytes. reply_rewind drops what was written since reply_mark, and forgets that it has failed. */
void reply_mark(struct reply *reply, uint64_t max);
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

/* Takes back payloads that the supervisor has given back, and frees those that were unused for long. True: call it again
 * later. */
bool reply_tidy(struct reply *reply);

/* [RESULTS, id, item, [ ... ]: opened by the first value, closed by reply_end_results or when flushed. */
void reply_begin_results(struct reply *reply, uint32_t id, uint64_t item);
void reply_value_done(struct reply *reply);

/* Bytes of the finished values in the open message of results. */
static inline size_t reply_results_size(const struct reply *reply)
{
	return reply->count_at ? reply->ready - reply->count_at : 0;
}
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

/* In a child that this process has forked: closes the channel, which only the parent may use. A later flush ends the child. */
void reply_abandon(struct reply *reply);

/* On the writer's thread, in a signal handler or at exit: sends what is whole, also the finished values of the open RESULTS.
 * Async-signal-safe. */
void reply_flush_dying(struct reply *reply);

#endif
