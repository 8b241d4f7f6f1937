/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logwriter: a thread that writes the log, so that the loop never waits for whoever reads it: a pipe that is full, a terminal that
 * is stopped, a disk that hangs, a journal that is busy. There is no way to write to all of these without blocking: O_NONBLOCK
 * means nothing to files, and on a pipe or a terminal it would be set for everybody else who has it open.
 *
 *   loop --logwriter_put--> filling [512 KiB] --swapped--> being written [512 KiB] --sink--> standard error, or the journal
 *
 * What does not fit is dropped and counted, and a line that says how many goes to where they are missing.
 */
#ifndef SUPERVISOR_LOGWRITER_H
#define SUPERVISOR_LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct logwriter_sink {
	char end; /* of each line, and in none */

	/* Writes a part of the bytes, which begin with a line. Blocks. Returns how many, or a negative errno: then this line is lost. */
	ssize_t (*write)(const char *bytes, size_t size);

	/* Makes the line that says how many are lost; returns its length. */
	size_t (*tell_lost)(char *line, size_t room, uint64_t lost);
};

/* 0 or a negative errno. Once in a process. */
int logwriter_start(const struct logwriter_sink *sink);

/* Never blocks. Lines that are not the daemon's `own` leave a part of the room to those that are. */
void logwriter_put(const char *line, size_t size, bool own);

/* Is there no room for lines of others, while the sink takes some? Then they do better to wait. */
bool logwriter_is_behind(void);

/* Ends the thread when all is written, or leaves it where it waits after `seconds`. */
void logwriter_stop(unsigned seconds);

#endif
