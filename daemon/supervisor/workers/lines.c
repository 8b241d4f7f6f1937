/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/lines.h"

#include "daemon/core/records/slot.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template.h"
#include "proto/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READS_AT_END = 64 };

static const struct timeval a_moment = {.tv_usec = 20000};

struct lines {
	struct log_stream stream;
	struct event *event;
	struct event *pause; /* fires when it is time to read again after the log was behind */
	int fd;
	bool continued; /* `text` is not the first piece of its line */
	size_t size;
	char text[LOG_PIECE];
};

/* Logs the first `size` bytes of the text, and removes them and `skip` more. */
static void take(struct lines *lines, size_t size, size_t skip)
{
	size_t shown = size;

	if (skip && shown > 0 && lines->text[shown - 1] == '\r')
		shown--; /* lines of other systems end in two characters */
	if (shown > 0 && lines->stream.name)
		said_add(&template_of(lines->stream.pool)->said, &lines->stream, lines->text, shown);
	if (shown > 0)
		log_line(&lines->stream, lines->continued, lines->text, shown);
	lines->continued = !skip;
	lines->size -= size + skip;
	memmove(lines->text, lines->text + size + skip, lines->size);
}

/* Logs the whole lines of the text. A line that fills all the room is logged in pieces. */
static void take_lines(struct lines *lines)
{
	char *end;
	while ((end = memchr(lines->text, '\n', lines->size)))
		take(lines, (size_t)(end - lines->text), 1);
	if (lines->size == sizeof lines->text)
		take(lines, escape_whole(lines->text, lines->size), 0);
}

static ssize_t read_some(struct lines *lines)
{
	const ssize_t n = read(lines->fd, lines->text + lines->size, sizeof lines->text - lines->size);
	if (n > 0) {
		lines->size += (size_t)n;
		take_lines(lines);
	}
	return n;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct lines *lines = data;
	(void)fd, (void)what;
	if (log_is_behind() && evtimer_add(lines->pause, &a_moment) == 0)
		(void)event_del(lines->event); /* the pipe fills, and the process that prints so much waits */
	else if (read_some(lines) == 0)
		(void)event_del(lines->event); /* the end; freed with its owner */
}

static void on_pause_over(evutil_socket_t fd, short what, void *data)
{
	struct lines *lines = data;
	(void)fd, (void)what;
	if (event_add(lines->event, NULL) < 0)
		(void)evtimer_add(lines->pause, &a_moment);
}

/* ---- opening and closing ---- */

static void drop(struct lines *lines)
{
	if (lines->event)
		event_free(lines->event);
	if (lines->pause)
		event_free(lines->pause);
	(void)close(lines->fd);
	free(lines);
}

/* Takes over `fd`, the reading end of a pipe. */
static struct lines *lines_new(struct daemon *daemon, enum lines_kind kind, const struct pool *pool, const struct slot *slot,
			       int fd)
{
	static const struct log_stream streams[] = {
		[LINES_OUTPUT] = {.name = "stdout", .level = LOG_INFO},
		[LINES_ERRORS] = {.name = "stderr", .level = LOG_WARNING},
		[LINES_BACKTRACE] = {.level = LOG_WARNING},
		[LINES_GATEWAY] = {.level = LOG_WARNING},
	};
	struct lines *lines = calloc(1, sizeof *lines);

	if (!lines) {
		(void)close(fd);
		return NULL;
	}
	lines->fd = fd;
	lines->stream = streams[kind];
	lines->stream.pool = pool;
	lines->stream.slot = slot;
	lines->event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_readable, lines);
	lines->pause = evtimer_new(daemon->base, on_pause_over, lines);
	if (lines->event && lines->pause && evutil_make_socket_nonblocking(fd) == 0 && event_add(lines->event, NULL) == 0)
		return lines;
	drop(lines);
	return NULL;
}

struct lines *lines_open(struct daemon *daemon, enum lines_kind kind, const struct pool *pool, const struct slot *slot, int *fd)
{
	int pipe_ends[2];

	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return NULL;
	struct lines *lines = lines_new(daemon, kind, pool, slot, pipe_ends[0]);
	if (lines) {
		*fd = pipe_ends[1];
		return lines;
	}
	(void)close(pipe_ends[1]);
	errno = ENOMEM;
	return NULL;
}

int lines_open_both(struct daemon *daemon, const struct pool *pool, const struct slot *slot, struct lines *both[2], int fds[2])
{
	both[0] = lines_open(daemon, LINES_OUTPUT, pool, slot, &fds[0]);
	if (!both[0])
		return -errno;
	both[1] = lines_open(daemon, LINES_ERRORS, pool, slot, &fds[1]);
	if (both[1])
		return 0;
	const int error = errno;
	both[0] = lines_free(both[0]);
	(void)close(fds[0]);
	return -error;
}

/* The last line may lack its end. */
struct lines *lines_free(struct lines *lines)
{
	if (!lines)
		return NULL;
	for (int i = 0; i < READS_AT_END && read_some(lines) > 0; i++)
		;
	if (lines->size > 0)
		take(lines, lines->size, 0);
	drop(lines);
	return NULL;
}
