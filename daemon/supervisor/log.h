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
 * Whatever is in a text, of the lines above it can only make the kind that it is logged as: all is escaped (proto/escape.h), here,
 * once, for everybody.
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

/* As `log_level` and `worker_log_level` are numbered in struct config. */
struct log_levels {
	uint32_t own, workers;
};

/* Looks where standard error goes, and starts to write there. 0 or a negative errno. Lines less urgent than the levels are dropped. */
int log_open(struct log_levels levels);
void log_set_levels(struct log_levels levels);

/* Waits a moment for lines that are not written yet. */
void log_close(void);

__attribute__((format(printf, 2, 3))) void log_say(int level, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_pool(int level, const struct pool *pool, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_slot(int level, const struct slot *slot, const char *format, ...);

/* Where bytes come from that another process has written. */
struct log_stream {
	const struct pool *pool;
	const struct slot *slot; /* NULL: of the pool's template */
	const char *name;        /* "stdout"; NULL: a program of the daemon's own speaks, in its name */
	int level;
};

enum { LOG_PIECE = 4096 }; /* bytes of a line of theirs that are logged as one */

/* Logs a line, or a piece of one: LOG_PIECE bytes at most. */
void log_line(const struct log_stream *stream, bool continued, const char *bytes, size_t size);

/* Is the log so far behind that who has more lines for it does better to wait? */
bool log_is_behind(void);

#endif
