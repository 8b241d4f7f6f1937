/* SPDX-License-Identifier: Apache-2.0 */
/* progress: a line at the bottom of a terminal that tells how far a map has come. Nothing at all where there is no terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;        /* there is a terminal, and nobody said --quiet */
	bool drawn;        /* the line stands there now */
	int64_t began, last; /* nanoseconds */
	uint64_t size;     /* of the input, in bytes; 0: unknown */
};

void progress_begin(struct progress *progress, bool quiet, uint64_t size);

/* Draws the line, some ten times a second at most: items done, of which failed, and how much of the input has been taken. */
void progress_update(struct progress *progress, uint64_t done, uint64_t failed, uint64_t offset);

/* Takes the line away, because something else is about to be printed. */
void progress_clear(struct progress *progress);

#endif
