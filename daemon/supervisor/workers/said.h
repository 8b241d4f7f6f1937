/* SPDX-License-Identifier: Apache-2.0 */
/*
 * said: the last lines that the processes of a pool have printed, for `objpool logs`: SAID_LINES of them at most, and SAID_BYTES.
 * They are kept whatever the log's level is. Each has a number, so that who asks again and again sees how many it has missed.
 */
#ifndef SUPERVISOR_SAID_H
#define SUPERVISOR_SAID_H

#include "daemon/supervisor/log/log.h"

#include <sys/queue.h>

enum { SAID_LINES = 1000, SAID_BYTES = 64 << 10 };

struct said_line {
	STAILQ_ENTRY(said_line) link;
	uint64_t number;    /* from 1 */
	int64_t at;         /* milliseconds since 1970 */
	int64_t slot;       /* -1: the template */
	const char *stream; /* "stdout", "stderr" */
	size_t size;
	char text[];        /* as it came: anything */
};

/* All 0 at first. */
struct said {
	STAILQ_HEAD(, said_line) lines;
	uint32_t count;
	size_t bytes;  /* of their texts */
	uint64_t last; /* number of the last line */
};

/* Keeps a line, or drops it if there is no memory: then it is one that was missed. */
void said_add(struct said *said, const struct log_stream *stream, const char *text, size_t size);

/* The oldest line that is kept and has a greater number. NULL: there is none. */
const struct said_line *said_after(const struct said *said, uint64_t number);

/* The last line on standard error of the slot's worker with a number above `after`. NULL: there is none. */
const struct said_line *said_last(const struct said *said, uint32_t slot, uint64_t after);

/* The same of the template. */
const struct said_line *said_last_of_template(const struct said *said, uint64_t after);

/* `to`, which has nothing, gets all. */
void said_move(struct said *to, struct said *from);

void said_clear(struct said *said);

#endif
