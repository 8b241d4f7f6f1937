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

/* One value has ended: it closes every container whose last one it was. */
static inline void end_value(struct scan *scan)
{
	scan->owed--;
	while (scan->depth > 0 && !scan->deep) {
		if (--scan->left[scan->depth - 1] > 0)
			return;
		scan->depth--;
	}
}

/* A container of `count` values begins; it is itself one of the values owed. */
static void open_container(struct scan *scan, uint64_t count)
{
	if (count == 0) {
		if (!scan->deep && scan->depth + 1 > scan->deepest)
			scan->deepest = scan->depth + 1;
		end_value(scan);
		return;
	}
	scan->owed += count - 1;
	if (scan->deep)
		return;
	if (scan->depth == SCAN_STACK) {
		scan->deep = true; /* from here on only `owed` is kept */
		return;
	}
	scan->left[scan->depth++] = count;
	if (scan->depth > scan->deepest)
		scan->deepest = scan->depth;
}

int scan_run(struct scan *scan, const uint8_t *bytes, size_t size)
{
	while (scan->owed > 0) {
		if (scan->pos >= size)
			break;
		const uint8_t *p = bytes + scan->pos;
		const uint8_t first = *p;
		uint64_t length = 1, count = 0;
		bool container = false;

		if (first < 0x80 || first >= 0xe0) { /* fixint */
		} else if (first < 0x90) { /* fixmap */
			container = true;
			count = 2u * (first & 15u);
		} else if (first < 0xa0) { /* fixarray */
			container = true;
			count = first & 15u;
		} else if (first < 0xc0) { /* fixstr */
			length = 1u + (first & 31u);
		} else {
			const struct format *f = &formats[first - 0xc0];
			if (f->kind == K_BAD)
				return -EBADMSG;
			if (size - scan->pos < f->head)
				break;
			length = (uint64_t)f->head + f->extra;
			if (f->kind == K_BYTES) {
				length += length_field(p, f->head);
			} else if (f->kind >= K_ITEMS) {
				container = true;
				count = length_field(p, f->head);
				count <<= f->kind == K_PAIRS;
			}
		}
		scan->pos += length;
		if (container)
			open_container(scan, count);
		else
			end_value(scan);
		if (scan->owed > UINT64_MAX / 4)
			return -EBADMSG; /* no sender lives to send that many */
		if (scan->pos + scan->owed > scan->limit) /* each value owed is a byte at least */
			scan->over = true;
	}
	return scan->owed == 0 && scan->pos <= size;
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
