/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox: reads whole messages from the channel, with the files that come with them. It blocks. Its one buffer grows with the
 * largest message and shrinks again.
 */
#ifndef WORKER_INBOX_H
#define WORKER_INBOX_H

#include "daemon/worker/worker_files.h"
#include "proto/read.h"
#include "proto/scan.h"

#include <poll.h>
#include <sys/queue.h>

struct held;

struct inbox {
	int fd;
	uint8_t *bytes;
	size_t begin, end, room; /* unread bytes; begin is a message's beginning */
	struct scan scan;
	struct arrivals arrivals;
	struct mappings mappings;
	struct worker_files *announced; /* of the message that comes next */
	struct worker_files *arrived;   /* of the message that next_arrived gave last */
	struct worker_files *files;     /* of the present message; whoever takes them sets this to NULL */
	STAILQ_HEAD(, held) held; /* messages that were put aside */
	bool giving;              /* the first of them is the present message */
	uint8_t *pinned;          /* an earlier buffer, in which the present message lies; NULL: there is none */
};

void inbox_init(struct inbox *inbox, int fd);
void inbox_free(struct inbox *inbox);

/* The next whole message: those that were put aside come first. Valid, with its files, until the next inbox_next. */
bool inbox_next(struct inbox *inbox, struct span *message);

/* Keeps the present message valid until inbox_next, although more is read. 0 or -ENOMEM. */
int inbox_pin(struct inbox *inbox);

/*
 * While the present message, which must be pinned, is being handled: waits for the next message of one of the types in `wanted`
 * (bit n is for type n). Returns what follows the type in it, valid until the next call of this function or inbox_next. Messages
 * of other types are put aside, and inbox_next gives them later. So each wait must take all types that any wait of a method
 * takes.
 */
struct reader inbox_await(struct inbox *inbox, uint32_t wanted, uint64_t *type);

/* poll, until CLOCK_MONOTONIC nanoseconds; UINT64_MAX: for ever. */
int inbox_poll(struct pollfd *polled, nfds_t count, uint64_t until);

/* Reads once, and blocks if nothing has come. 1; 0 at the end; a negative errno. */
int inbox_read(struct inbox *inbox);

/* Waits for more bytes, until CLOCK_MONOTONIC nanoseconds. 1; 0 at the end; -ETIMEDOUT; another negative errno. */
int inbox_fill(struct inbox *inbox, uint64_t until);

#endif
