/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input_lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_READ = 64 << 10 };

static int make_room(struct input_lines *lines)
{
	const size_t have = lines->end - lines->begin;

	if (lines->begin > 0 && have > 0)
		memmove(lines->bytes, lines->bytes + lines->begin, have);
	lines->begin = 0;
	lines->end = have;
	if (lines->capacity - have >= LINES_READ)
		return 0;
	const size_t capacity = 2 * lines->capacity + 2 * LINES_READ;
	char *bytes = realloc(lines->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	lines->bytes = bytes;
	lines->capacity = capacity;
	return 0;
}

/* Reads once, if that does not block. Other processes share the descriptor, so it is not made non-blocking. */
static int fill(struct input_lines *lines)
{
	struct pollfd pollfd = {.fd = lines->fd, .events = POLLIN};

	if (make_room(lines) < 0)
		return -ENOMEM;
	if (poll(&pollfd, 1, 0) == 0)
		return -EAGAIN;
	const ssize_t n = read(lines->fd, lines->bytes + lines->end, lines->capacity - lines->end);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	lines->end += (size_t)n;
	lines->ended = n == 0;
	return 0;
}

/* Where the first line of the `have` bytes ends; `have` if there is no end of line. */
static size_t find_end(const struct input_lines *lines, size_t have)
{
	if (have == lines->searched)
		return have;
	const char *begin = lines->bytes + lines->begin;
	const char *end = memchr(begin + lines->searched, '\n', have - lines->searched);
	return end ? (size_t)(end - begin) : have;
}

static int give(struct input_lines *lines, size_t size, size_t with_end, const char **line, size_t *line_size)
{
	*line = lines->bytes + lines->begin;
	*line_size = size;
	lines->begin += with_end;
	lines->offset += with_end;
	lines->searched = 0;
	lines->number++;
	return 1;
}

int input_lines_next(struct input_lines *lines, const char **line, size_t *size)
{
	for (;;) {
		const size_t have = lines->end - lines->begin;
		const size_t n = find_end(lines, have);
		if (n < have)
			return give(lines, n, n + 1, line, size);
		lines->searched = have;
		if (lines->ended)
			return have ? give(lines, have, have, line, size) : 0;
		const int rc = fill(lines);
		if (rc < 0)
			return rc;
	}
}

void input_lines_free(struct input_lines *lines)
{
	free(lines->bytes);
	lines->bytes = NULL;
}
