/* SPDX-License-Identifier: Apache-2.0 */
/* log_recent: the last warnings and errors of the daemon's own, for the page: a fixed number of lines, of fixed size. */
#ifndef SUPERVISOR_LOG_RECENT_H
#define SUPERVISOR_LOG_RECENT_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_RECENT_LINES = 100, LOG_RECENT_TEXT = 500 };

struct log_recent_line {
	uint64_t number; /* from 1 */
	int64_t at;      /* milliseconds since 1970 */
	int level;       /* LOG_ERR, … */
	char text[LOG_RECENT_TEXT];
};

/* Keeps a line, whose text is escaped. A long text is cut, and then ends with "...". */
void log_recent_put(int level, const char *text, size_t size);

/* The oldest line that is kept and has a greater number. NULL: there is none. */
const struct log_recent_line *log_recent_after(uint64_t number);

#endif
