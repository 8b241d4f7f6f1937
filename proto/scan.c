/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format's table (https://github.com/msgpack/msgpack/blob/master/spec.md), and one loop over it.
 */
#include "proto/scan.h"

#include <errno.h>
#include <string.h>

/* What follows a first byte: a header of `head` bytes in all, that says how much. */
enum kind { K_BAD, K_FIXED, K_BYTES, K_ITEMS, K_PAIRS };
struct format {
	uint8_t kind;
	uint8_t head;  /* first byte and length field */
	uint8_t extra; /* bytes after the header that are always there: a number's, an ext's type */
};

/* 0xc0 .. 0xdf; the rest is decided by its range. */
static const struct format formats[32] = {
	[0x00] = {K_FIXED, 1, 0},                                                     /* nil */
	[0x01] = {K_BAD, 1, 0},
	[0x02] = {K_FIXED, 1, 0}, [0x03] = {K_FIXED, 1, 0},                           /* false, true */
	[0x04] = {K_BYTES, 2, 0}, [0x05] = {K_BYTES, 3, 0}, [0x06] = {K_BYTES, 5, 0}, /* bin */
	[0x07] = {K_BYTES, 2, 1}, [0x08] = {K_BYTES, 3, 1}, [0x09] = {K_BYTES, 5, 1}, /* ext */
	[0x0a] = {K_FIXED, 1, 4}, [0x0b] = {K_FIXED, 1, 8},                           /* float */
	[0x0c] = {K_FIXED, 1, 1}, [0x0d] = {K_FIXED, 1, 2}, [0x0e] = {K_FIXED, 1, 4}, [0x0f] = {K_FIXED, 1, 8}, /* uint */
	[0x10] = {K_FIXED, 1, 1}, [0x11] = {K_FIXED, 1, 2}, [0x12] = {K_FIXED, 1, 4}, [0x13] = {K_FIXED, 1, 8}, /* int */
	[0x14] = {K_FIXED, 1, 2}, [0x15] = {K_FIXED, 1, 3}, [0x16] = {K_FIXED, 1, 5}, /* fixext 1, 2, 4 */
	[0x17] = {K_FIXED, 1, 9}, [0x18] = {K_FIXED, 1, 17},                          /* fixext 8, 16 */
	[0x19] = {K_BYTES, 2, 0}, [0x1a] = {K_BYTES, 3, 0}, [0x1b] = {K_BYTES, 5, 0}, /* str */
	[0x1c] = {K_ITEMS, 3, 0}, [0x1d] = {K_ITEMS, 5, 0},                           /* array */
	[0x1e] = {K_PAIRS, 3, 0}, [0x1f] = {K_PAIRS, 5, 0},                           /* map */
};

void scan_begin(struct scan *scan, uint64_t limit)
{
	scan->pos = 0;
	scan->limit = limit;
	scan->owed = 1;
	scan->depth = 0;
	scan->deepest = 0;
	scan->deep = false;
	scan->over = false;
}

static uint32_t length_field(const uint8_t *p, unsigned head)
{
	switch (head) {
	case 2:
		return p[1];
	case 3:
		return (uint32_t)p[1] << 8 | p[2];
	default:
		return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	}
}

/* The open containers, while a scan runs: apart from `scan`, so that the compiler can keep it in registers. */
struct nest {
	uint64_t owed;
	uint32_t depth, deepest;
	bool deep;
};

/* One value has ended: it closes every container whose last one it was. */
static inline void end_value(struct nest *nest, uint64_t *left)
{
	nest->owed--;
	if (nest->deep)
		return;
	while (nest->depth > 0 && --left[nest->depth - 1] == 0)
		nest->depth--;
}

/* A container of `count` values begins; it is itself one of the values owed. */
static inline void open_container(struct nest *nest, uint64_t *left, uint64_t count)
{
	if (!nest->deep && nest->depth == SCAN_STACK)
		nest->deep = count > 0; /* from here on only `owed` is kept */
	else if (nest->depth >= nest->deepest)
		nest->deepest = nest->depth + 1; /* an empty one is a level, too */
	if (count == 0) {
		end_value(nest, left);
		return;
	}
	nest->owed += count - 1;
	if (!nest->deep)
		left[nest->depth++] = count;
}

/* The header at `p`, of which `size` bytes are there. Returns the value's length without what it contains, *count how many
 * values follow in it (-1: it is no container); 0: more bytes are needed; -EBADMSG. */
static inline int64_t read_header(const uint8_t *p, size_t size, int64_t *count)
{
	const uint8_t first = *p;

	*count = -1;
	if (first < 0x80 || first >= 0xe0) /* fixint */
		return 1;
	if (first >= 0xa0 && first < 0xc0) /* fixstr */
		return 1 + (first & 31);
	if (first < 0xa0) { /* fixmap, fixarray */
		*count = first < 0x90 ? 2 * (first & 15) : first & 15;
		return 1;
	}
	const struct format *f = &formats[first - 0xc0];
	if (f->kind == K_FIXED)
		return f->head + f->extra;
	if (f->kind == K_BAD)
		return -EBADMSG;
	if (size < f->head)
		return 0;
	const uint32_t n = length_field(p, f->head);
	if (f->kind == K_BYTES)
		return (int64_t)f->head + f->extra + n;
	*count = (int64_t)n << (f->kind == K_PAIRS);
	return f->head;
}

int scan_run(struct scan *scan, const uint8_t *bytes, size_t size)
{
	struct nest nest = {.owed = scan->owed, .depth = scan->depth, .deepest = scan->deepest, .deep = scan->deep};
	uint64_t pos = scan->pos;
	int64_t length, count;
	int r = 0;

	while (nest.owed > 0 && pos < size) {
		length = read_header(bytes + pos, size - pos, &count);
		if (length <= 0) {
			r = (int)length;
			break;
		}
		pos += (uint64_t)length;
		if (count < 0)
			end_value(&nest, scan->left);
		else
			open_container(&nest, scan->left, (uint64_t)count);
		if (nest.owed > UINT64_MAX / 4) {
			r = -EBADMSG; /* no sender lives to send that many */
			break;
		}
	}
	scan->pos = pos;
	scan->owed = nest.owed;
	scan->depth = nest.depth;
	scan->deepest = nest.deepest;
	scan->deep = nest.deep;
	scan->over = scan->over || pos + nest.owed > scan->limit; /* each value owed is a byte at least */
	if (r < 0)
		return r;
	return nest.owed == 0 && pos <= size;
}

int64_t scan_length(const uint8_t *bytes, size_t size)
{
	struct scan scan;
	scan_begin(&scan, INT64_MAX);
	const int r = scan_run(&scan, bytes, size);
	if (r < 0)
		return r;
	return r == 0 ? 0 : (int64_t)scan.pos;
}

uint32_t scan_nesting(const uint8_t *bytes, size_t size)
{
	struct scan scan;
	scan_begin(&scan, INT64_MAX);
	(void)scan_run(&scan, bytes, size);
	return scan.deep ? UINT32_MAX : scan.deepest;
}
