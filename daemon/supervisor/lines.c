/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/lines.h"

#include "daemon/core/slot.h"
#include "daemon/supervisor/log.h"

#include <stdlib.h>
#include <unistd.h>

enum { LINE_MOST = 4096, READS_AT_END = 64 };

struct lines {
	const struct pool *pool;
	const struct slot *slot;
	struct event *event;
	int fd;
	int level;
	size_t size;
	char text[LINE_MOST];
};

static void print(const struct lines *lines, size_t size)
{
	if (size == 0)
		return;
	if (lines->slot)
		log_slot(lines->level, lines->slot, "%.*s", (int)size, lines->text);
	else
		log_pool(lines->level, lines->pool, "%.*s", (int)size, lines->text);
}

/* Logs the whole lines; one that fills all the room is logged as far as it goes. */
static void take_lines(struct lines *lines)
{
	char *end;
	while ((end = memchr(lines->text, '\n', lines->size))) {
		const size_t n = (size_t)(end - lines->text);
		print(lines, n);
		lines->size -= n + 1;
		memmove(lines->text, end + 1, lines->size);
	}
	if (lines->size == sizeof lines->text) {
		print(lines, lines->size);
		lines->size = 0;
	}
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
	if (read_some(lines) == 0)
		(void)event_del(lines->event); /* the end; freed with its owner */
}

struct lines *lines_new(struct daemon *daemon, int fd, const struct pool *pool, const struct slot *slot)
{
	struct lines *lines = calloc(1, sizeof *lines);

	if (lines)
		lines->event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_readable, lines);
	if (!lines || !lines->event || evutil_make_socket_nonblocking(fd) < 0 || event_add(lines->event, NULL) < 0) {
		if (lines && lines->event)
			event_free(lines->event);
		free(lines);
		(void)close(fd);
		return NULL;
	}
	lines->fd = fd;
	lines->pool = pool;
	lines->slot = slot;
	lines->level = LOG_INFO;
	return lines;
}

void lines_set_level(struct lines *lines, int level)
{
	lines->level = level;
}

struct lines *lines_free(struct lines *lines)
{
	if (!lines)
		return NULL;
	for (int i = 0; i < READS_AT_END && read_some(lines) > 0; i++)
		;
	print(lines, lines->size);
	event_free(lines->event);
	(void)close(lines->fd);
	free(lines);
	return NULL;
}
