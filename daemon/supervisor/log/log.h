/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line per event, to the journal with fields when standard error is the journal's, else to standard error. No function
 * here blocks: logwriter.h.
 *
 *   pool sim slot 2: ready, pid 4711, generation 1      the daemon's own
 *   pool sim slot 2: | second line of what it says      of a text that has several
 *   pool sim slot 2: stdout: ready, pid 1               what a worker prints
 *   pool sim slot 2: stdout, continued: and so on       the next piece of a line that was too long for one
 *
 * A text can't imitate another kind of line: all texts are escaped (proto/escape.h), here and nowhere else.
 */
#ifndef SUPERVISOR_LOG_H
#define SUPERVISOR_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG */

struct pool;
struct slot;

/* Numbers as in struct config: 0: error … 3: debug. */
struct log_levels {
	uint32_t own, workers;
};

/* Finds out what standard error is, unless lines are to go to a file, and starts the thread that writes. Lines less urgent than
 * the levels are dropped. 0 or a negative errno. */
int log_open(struct log_levels levels, bool to_file);

/* Has lines go to that file from now on: log_open was told so. 0 or a negative errno. */
int log_use_file(const char *path);

/* Has the file opened anew: somebody has moved it. */
void log_reopen(void);

void log_set_levels(struct log_levels levels);

/* Waits a moment until all lines are written. */
void log_close(void);

/* Is a line of this level logged? For lines that are costly to make. */
bool log_wants(int level);

__attribute__((format(printf, 2, 3))) void log_say(int level, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_pool(int level, const struct pool *pool, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_slot(int level, const struct slot *slot, const char *format, ...);

/* A line of the level debug, as the core tells of (core_trace). It stays one line, whatever names of clients are in it. */
void log_trace(const struct pool *pool, const struct slot *slot, const char *text);

/* The source of bytes that another process has written. */
struct log_stream {
	const struct pool *pool;
	const struct slot *slot; /* NULL: of the pool's template */
	const char *name; /* "stdout", "stderr"; NULL: a program of the daemon's own, whose lines are logged as the daemon's */
	int level;
};

enum { LOG_PIECE = 4096 }; /* bytes of such a line that are logged as one line */

/* Logs a line, or a piece of one: LOG_PIECE bytes at most. */
void log_line(const struct log_stream *stream, bool continued, const char *bytes, size_t size);

/* Is the log so far behind that a source of many lines should pause? */
bool log_is_behind(void);

#endif
