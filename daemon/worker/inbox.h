/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox: whole messages from the channel, with the files that come beside them. Blocking; one buffer, that grows with the
 * largest message and shrinks again.
 */
#ifndef WORKER_INBOX_H
#define WORKER_INBOX_H

#include "daemon/worker/worker_files.h"
#include "proto/read.h"
#include "proto/scan.h"

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
	struct worker_files *arrived;   /* of the one that inbox_next_arrived gave last */
	struct worker_files *files;     /* of the present message; whoever takes them sets this to NULL */
	STAILQ_HEAD(, held) held; /* messages that were put aside; the first may be the one given out last */
	bool giving;              /* it is */
	uint8_t *pinned;          /* an earlier buffer, in which the present message lies; NULL: it isn't needed */
};

void inbox_init(struct inbox *inbox, int fd);
void inbox_free(struct inbox *inbox);

/* The next whole message, valid with its files until the next call of these: first what was put aside, then what has arrived. */
bool inbox_next(struct inbox *inbox, struct span *message);

/* The present message stays valid until inbox_next, while more is read. 0 or -ENOMEM. */
int inbox_pin(struct inbox *inbox);

/*
 * In the midst of the present message, which must be pinned: waits for the next message of one of the types in `wanted` (bit n
 * is for type n). Returns what follows the type in it, valid until the next call of this function or inbox_next. Messages of
 * other types are put aside, and inbox_next gives them later. So each wait must take all types that any wait of a method takes.
 */
struct reader inbox_await(struct inbox *inbox, uint32_t wanted, uint64_t *type);

/* Waits for more bytes, until CLOCK_MONOTONIC nanoseconds. 1; 0 at the end; -ETIMEDOUT; another negative errno. */
int inbox_fill(struct inbox *inbox, uint64_t until);

#endif
