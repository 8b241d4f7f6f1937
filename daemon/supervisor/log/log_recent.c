/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/log_recent.h"

#include "proto/escape.h"

#include <string.h>
#include <time.h>

/* A process has one log. The line of number N is at N % LOG_RECENT_LINES. */
static struct log_recent_line lines[LOG_RECENT_LINES];
static uint64_t last;

static void copy(char to[LOG_RECENT_TEXT], const char *text, size_t size)
{
	static const char more[] = "...";
	const bool fits = size < LOG_RECENT_TEXT;

	if (!fits)
		size = escape_whole(text, LOG_RECENT_TEXT - sizeof more);
	memcpy(to, text, size);
	memcpy(to + size, fits ? "" : more, fits ? 1 : sizeof more);
}

void log_recent_put(int level, const char *text, size_t size)
{
	struct log_recent_line *line = &lines[++last % LOG_RECENT_LINES];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	line->number = last;
	line->at = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	line->level = level;
	copy(line->text, text, size);
}

const struct log_recent_line *log_recent_after(uint64_t number)
{
	const uint64_t oldest = last > LOG_RECENT_LINES ? last - LOG_RECENT_LINES + 1 : 1;

	if (number >= last)
		return NULL;
	return &lines[(number + 1 > oldest ? number + 1 : oldest) % LOG_RECENT_LINES];
}
