/* SPDX-License-Identifier: Apache-2.0 */
/* progress: tells on standard error how far a map or a call has come. On a terminal it is a line at the bottom; otherwise it is
 * nothing, or a line for each message. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;        /* there is a terminal, and no --quiet */
	bool plain;        /* there is no terminal, and --progress was given */
	bool drawn;        /* the line is on the terminal now */
	int64_t began, last; /* nanoseconds */
	uint64_t size;     /* of the input, in bytes; 0: unknown */
};

void progress_begin(struct progress *progress, bool quiet, uint64_t size);

/* Draws the line, some ten times a second at most: items done, of which failed, and how much of the input has been taken. */
void progress_update(struct progress *progress, uint64_t done, uint64_t failed, uint64_t offset);

/* Shows a call's own progress: in the line, or, without a terminal, as a line of its own. -1 and NULL: not known. */
void progress_begin_call(struct progress *progress);
void progress_tell(struct progress *progress, int64_t done, int64_t total, const char *text);

/* Removes the line before something else is printed. */
void progress_clear(struct progress *progress);

#endif
