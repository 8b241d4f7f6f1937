/* SPDX-License-Identifier: Apache-2.0 */
/* progress: a line at the bottom of a terminal that tells how far a map or a call has come. Elsewhere nothing, or what is asked
 * for. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;        /* there is a terminal, and nobody said --quiet */
	bool plain;        /* there is none, and lines are wanted */
	bool drawn;        /* the line stands there now */
	int64_t began, last; /* nanoseconds */
	uint64_t size;     /* of the input, in bytes; 0: unknown */
};

void progress_begin(struct progress *progress, bool quiet, uint64_t size);

/* Draws the line, some ten times a second at most: items done, of which failed, and how much of the input has been taken. */
void progress_update(struct progress *progress, uint64_t done, uint64_t failed, uint64_t offset);

/* A call's own progress, -1 and NULL where it is not known: in the line; and where there is no terminal as a line each. */
void progress_begin_call(struct progress *progress);
void progress_tell(struct progress *progress, int64_t done, int64_t total, const char *text);

/* Takes the line away, because something else is about to be printed. */
void progress_clear(struct progress *progress);

#endif
