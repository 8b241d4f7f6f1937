/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply: the bytes that go back to the supervisor. Collected and written together, and never a message half: when the
 * process crashes in a method, what had been finished before is still sent.
 *
 *   | sent | whole messages ......... | [RESULTS, id, item, [value value | value being written
 *   0     sent                     sealed                            ready                    size
 *
 * One thread writes. Another may call reply_nudge, which sends what is whole: that is how an answer gets out although the next
 * method, thought to be short, runs for long. The lock guards `sent`, and `bytes` against moving.
 */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include <msgpack.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct reply {
	int fd;
	uint8_t *bytes;
	size_t size, room;
	size_t sent;
	size_t value;      /* where the value being written begins */
	_Atomic size_t sealed; /* whole messages: may be sent */
	size_t ready;      /* whole values of the open RESULTS */
	size_t count_at;   /* of it: where its header has the number of values; 0: none is open */
	uint32_t count;
	pthread_mutex_t lock;
};

void reply_init(struct reply *reply, int fd);
void reply_free(struct reply *reply);

/* msgpack_packer's way in. */
int reply_append(void *reply, const char *bytes, size_t size);

/* Everything so far is whole messages. */
void reply_seal(struct reply *reply);

/* A value begins here; and: drops what has been written since then. */
static inline void reply_mark(struct reply *reply)
{
	reply->value = reply->size;
}
static inline void reply_rewind(struct reply *reply)
{
	reply->size = reply->value;
}

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

/* In a signal handler or at exit, of the writer's own: sends what is whole, the open RESULTS as far as it got. Async-signal-safe. */
void reply_flush_dying(struct reply *reply);

#endif
