/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logwriter: a thread that writes the log, so that the loop never waits for a full pipe, a stopped terminal, a hanging disk or
 * a busy journal. No flag makes all such writes non-blocking: O_NONBLOCK does nothing for files, and on a pipe or terminal it
 * would be set for every other process that has it open, too.
 *
 *   loop --logwriter_put--> filling [512 KiB] --swapped--> being written [512 KiB] --sink--> standard error, a file, or the journal
 *
 * Lines that do not fit are dropped and counted. A line in their place says how many are missing.
 */
#ifndef SUPERVISOR_LOGWRITER_H
#define SUPERVISOR_LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct logwriter_sink {
	char end; /* the byte that ends each line, and is in none */

	/* Writes some of the bytes, which begin with a line. May block. Returns how many, or a negative errno: then the first
	 * line is lost. */
	ssize_t (*write)(const char *bytes, size_t size);

	/* Opens the file of that name anew. May block. NULL: there is nothing to open. */
	void (*reopen)(void);

	/* Makes the line that says how many lines are lost. Returns its length. */
	size_t (*tell_lost)(char *line, size_t room, uint64_t lost);
};

/* Starts the thread, once in a process. 0 or a negative errno. */
int logwriter_start(const struct logwriter_sink *sink);

/* Adds a line. Never waits for the sink. A part of the room is only for the daemon's `own` lines. */
void logwriter_put(const char *line, size_t size, bool own);

/* Has the sink opened anew, by the thread, before it writes the next lines. */
void logwriter_reopen(void);

/* Is the room for lines of others half full, and does the sink make progress? Then these lines should wait. */
bool logwriter_is_behind(void);

/* Waits until all lines are written and the thread has ended; no longer than `seconds`. */
void logwriter_stop(unsigned seconds);

#endif
