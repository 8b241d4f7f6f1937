/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/intake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { OWN_FIRST = 4 << 10 };

void intake_init(struct intake *intake, uint64_t limit)
{
	*intake = (struct intake){.limit = limit};
	scan_begin(&intake->scan, limit);
}

void intake_free(struct intake *intake)
{
	intake->own = block_unref(intake->own);
}

/* A block of `capacity` with the bytes that wait, which are in nobody else's. */
static int move_to(struct intake *intake, size_t capacity)
{
	const struct block *from = intake->own ? intake->own : intake->scratch;
	struct block *block = block_new(capacity);
	if (!block)
		return -ENOMEM;
	memcpy(block->bytes, from->bytes + intake->begin, intake->end - intake->begin);
	intake->end -= intake->begin;
	intake->begin = 0;
	block_unref(intake->own);
	intake->own = block;
	return 0;
}

static int make_room(struct intake *intake)
{
	struct block *own = intake->own;
	const size_t waiting = intake->end - intake->begin;

	if (own->capacity - intake->end >= own->capacity / 4)
		return 0;
	if (intake->begin == 0 && own->mapped && own->refs == 1)
		return block_grow(own, 2 * own->capacity);
	const size_t wanted = waiting > own->capacity / 2 ? 2 * own->capacity : own->capacity;
	return move_to(intake, wanted);
}

static ssize_t read_some(int fd, uint8_t *bytes, size_t size)
{
	ssize_t n;
	do {
		n = read(fd, bytes, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t intake_read(struct intake *intake, int fd, struct block *scratch)
{
	if (!intake->own) {
		intake->scratch = scratch;
		intake->begin = intake->end = 0;
		const ssize_t n = read_some(fd, scratch->bytes, scratch->capacity);
		if (n > 0)
			intake->end = (size_t)n;
		return n;
	}
	if (make_room(intake) < 0)
		return -ENOMEM;
	const ssize_t n = read_some(fd, intake->own->bytes + intake->end, intake->own->capacity - intake->end);
	if (n > 0)
		intake->end += (size_t)n;
	return n;
}

/* What has been scanned of a message over the limit is of no use. */
static void drop(struct intake *intake)
{
	size_t n = intake->end - intake->begin;
	if (n > intake->scan.pos)
		n = (size_t)intake->scan.pos;
	intake->begin += n;
	scan_forget(&intake->scan, n);
}

int intake_next(struct intake *intake, struct span *message, struct block **block)
{
	for (;;) {
		const struct block *in = intake->own ? intake->own : intake->scratch;
		if (!intake_has(intake) && !intake->dropping)
			return 0;
		const uint8_t *from = in->bytes + intake->begin;
		const size_t size = intake->end - intake->begin;
		const int r = scan_run(&intake->scan, from, size);
		if (r < 0)
			return r;
		*message = (struct span){.bytes = from, .size = r > 0 ? (size_t)intake->scan.pos : size};
		if (intake->scan.over && !intake->dropping) {
			intake->dropping = true;
			*block = NULL;
			return -EMSGSIZE; /* the bytes are still there: the next call drops them */
		}
		if (intake->dropping)
			drop(intake);
		if (r == 0)
			return 0;
		intake->deep = intake->scan.deep;
		scan_begin(&intake->scan, intake->limit);
		if (intake->dropping) {
			intake->dropping = false;
			continue;
		}
		intake->begin += message->size;
		*block = intake->own;
		return 1;
	}
}

int intake_keep(struct intake *intake)
{
	const size_t waiting = intake->end - intake->begin;

	if (waiting == 0) {
		intake->own = block_unref(intake->own);
		intake->begin = intake->end = 0;
	} else if (!intake->own && move_to(intake, waiting + OWN_FIRST) < 0) {
		return -ENOMEM;
	}
	intake->scratch = NULL;
	return 0;
}
