/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/supervisor/log.h"

#include "daemon/core/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 4608 };

static int level_most = LOG_INFO; /* a log is one per process */
static int journal;

/* $JOURNAL_STREAM names the device and inode of the journal's socket: is that what standard error is? */
static int stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

void log_open(int most)
{
	level_most = most;
	journal = stderr_is_journal();
}

void log_set_level(int most)
{
	level_most = most;
}

static const char *level_name(int level)
{
	return level <= LOG_ERR ? "error" : level == LOG_WARNING ? "warning" : level <= LOG_INFO ? "info" : "debug";
}

static void to_stderr(int level, const char *text)
{
	char line[LINE + 64];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s\n", now.tv_nsec / 1000000, level_name(level), text);
	if (n > sizeof line - 1)
		n = sizeof line - 1;
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* a log that can't be written has nobody to tell */
}

static void to_journal(int level, const struct pool *pool, const struct slot *slot, const char *text)
{
	char fields[5][LINE + 64];
	struct iovec iov[5];
	int n = 0;

	snprintf(fields[n++], sizeof fields[0], "PRIORITY=%d", level);
	snprintf(fields[n++], sizeof fields[0], "MESSAGE=%s", text);
	if (pool)
		snprintf(fields[n++], sizeof fields[0], "OBJPOOL_POOL=%s", pool->name);
	if (slot) {
		snprintf(fields[n++], sizeof fields[0], "OBJPOOL_SLOT=%u", slot->index);
		snprintf(fields[n++], sizeof fields[0], "OBJPOOL_GENERATION=%llu", (unsigned long long)slot->generation);
	}
	for (int i = 0; i < n; i++)
		iov[i] = (struct iovec){.iov_base = fields[i], .iov_len = strlen(fields[i])};
	if (sd_journal_sendv(iov, n) < 0)
		to_stderr(level, text);
}

__attribute__((format(printf, 4, 0)))
static void say(int level, const struct pool *pool, const struct slot *slot, const char *format, va_list list)
{
	char text[LINE];
	int n = 0;

	if (level > level_most)
		return;
	if (slot)
		n = snprintf(text, sizeof text, "pool %s slot %u: ", pool->name, slot->index);
	else if (pool)
		n = snprintf(text, sizeof text, "pool %s: ", pool->name);
	(void)vsnprintf(text + n, sizeof text - (size_t)n, format, list);
	if (journal)
		to_journal(level, pool, slot, text);
	else
		to_stderr(level, text);
}

void log_say(int level, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say(level, NULL, NULL, format, list);
	va_end(list);
}

void log_pool(int level, const struct pool *pool, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say(level, pool, NULL, format, list);
	va_end(list);
}

void log_slot(int level, const struct slot *slot, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say(level, slot->pool, slot, format, list);
	va_end(list);
}
