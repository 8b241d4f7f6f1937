/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/log.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/log/log_recent.h"
#include "daemon/supervisor/log/logsink.h"
#include "proto/escape.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = LOG_PIECE + 512, ESCAPED = ESCAPE_MAX * TEXT, HEAD = 320, CLOSE_SECONDS = 1 };

static struct log_levels levels; /* a process has one log */

static bool is_wanted(int level, uint32_t most)
{
	static const int urgencies[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	return level <= urgencies[most];
}

static size_t put_head(char *line, const struct pool *pool, const struct slot *slot)
{
	if (slot)
		return (size_t)snprintf(line, HEAD, "pool %s slot %u: ", pool->name, slot->index);
	return pool ? (size_t)snprintf(line, HEAD, "pool %s: ", pool->name) : 0;
}

/* Writes one line. `mark` is put before the text, and is not escaped. */
static void put_line(const struct logsink_subject *about, bool own, const char *mark, const char *text, size_t size)
{
	char escaped[HEAD + ESCAPED], line[sizeof escaped + LOGSINK_AROUND];
	size_t n = put_head(escaped, about->pool, about->slot);

	n += (size_t)snprintf(escaped + n, HEAD - n, "%s", mark);
	n += escape_text(escaped + n, sizeof escaped - n, text, size);
	if (own && about->level <= LOG_WARNING)
		log_recent_put(about->level, escaped, n);
	logwriter_put(line, logsink_format(line, sizeof line, about, escaped), own);
}

/* ---- the daemon's own lines ---- */

__attribute__((format(printf, 4, 0))) static void say(int level, const struct pool *pool, const struct slot *slot,
						      const char *format, va_list list)
{
	const struct logsink_subject about = {.level = level, .pool = pool, .slot = slot};
	const char *rest, *mark = "";
	char text[TEXT];

	if (!is_wanted(level, levels.own))
		return;
	if (vsnprintf(text, sizeof text, format, list) >= (int)sizeof text)
		memcpy(text + sizeof text - 4, "...", 4);
	for (rest = text; *rest; mark = "| ") {
		const size_t n = strcspn(rest, "\n");
		if (n > 0)
			put_line(&about, true, mark, rest, n);
		rest += n + (rest[n] != '\0');
	}
}

bool log_wants(int level)
{
	return is_wanted(level, levels.own);
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

void log_trace(const struct pool *pool, const struct slot *slot, const char *text)
{
	const struct logsink_subject about = {.level = LOG_DEBUG, .pool = pool, .slot = slot};

	if (is_wanted(LOG_DEBUG, levels.own))
		put_line(&about, true, "", text, strlen(text));
}

/* ---- lines of others ---- */

void log_line(const struct log_stream *stream, bool continued, const char *bytes, size_t size)
{
	const struct logsink_subject about = {
		.level = stream->level, .pool = stream->pool, .slot = stream->slot, .stream = stream->name};
	char mark[48];

	if (!is_wanted(stream->level, stream->name ? levels.workers : levels.own))
		return;
	snprintf(mark, sizeof mark, "%s%s%s", stream->name ? stream->name : "", continued ? ", continued" : "",
		 stream->name || continued ? ": " : "");
	put_line(&about, false, mark, bytes, size);
}

bool log_is_behind(void)
{
	return logwriter_is_behind();
}

/* libevent's messages go to the log; it would write to standard error itself. */
static void on_event_log(int severity, const char *text)
{
	log_say(severity >= EVENT_LOG_ERR ? LOG_ERR : severity == EVENT_LOG_WARN ? LOG_WARNING : LOG_DEBUG, "libevent: %s", text);
}

/* ---- opening and closing ---- */

int log_open(struct log_levels wanted, bool to_file)
{
	levels = wanted;
	event_set_log_callback(on_event_log);
	return logwriter_start(logsink_open(to_file));
}

int log_use_file(const char *path)
{
	return logsink_use_file(path);
}

void log_reopen(void)
{
	logwriter_reopen();
}

void log_set_levels(struct log_levels wanted)
{
	levels = wanted;
}

void log_close(void)
{
	logwriter_stop(CLOSE_SECONDS);
}
