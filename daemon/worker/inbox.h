/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox: whole messages from the channel, with the files that come beside them. Blocking; one buffer, that grows with the
 * largest message and shrinks again.
 */
#ifndef WORKER_INBOX_H
#define WORKER_INBOX_H

#include "daemon/worker/files.h"
#include "proto/read.h"
#include "proto/scan.h"

struct inbox {
	int fd;
	uint8_t *bytes;
	size_t begin, end, room; /* unread bytes; begin is a message's beginning */
	struct scan scan;
	struct arrivals arrivals;
	struct mappings mappings;
	bool announced;          /* `files` are of the message that comes next */
	struct files *files;     /* of the message given last; whoever takes them sets this to NULL */
};

void inbox_init(struct inbox *inbox, int fd);

/* The next whole message that has arrived, valid until inbox_fill. */
bool inbox_next(struct inbox *inbox, struct span *message);

/* Waits for more bytes, until CLOCK_MONOTONIC nanoseconds. 1; 0 at the end; -ETIMEDOUT; another negative errno. */
int inbox_fill(struct inbox *inbox, uint64_t until);

#endif
