/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format's table (https://github.com/msgpack/msgpack/blob/master/spec.md), and one loop over it.
 */
#include "proto/scan.h"

#include "proto/msgpack_bytes.h"
#include "proto/payload_ref.h"

#include <errno.h>
#include <string.h>

/* What follows a first byte: the rest of a header of `head` bytes, which tells how much follows. */
enum kind { K_BAD, K_BYTES, K_ITEMS, K_PAIRS, K_FIXED };
struct format {
	uint8_t kind;
	uint8_t head;  /* first byte and length field */
	uint8_t extra; /* bytes after the header that are always there: a number's, an ext's type */
};

/* The bytes from BYTE_NIL to BYTE_MAP32 whose length `fixed` does not know. */
static const struct format formats[32] = {
	[BYTE_BIN8 - BYTE_NIL] = {K_BYTES, 2, 0},
	[BYTE_BIN16 - BYTE_NIL] = {K_BYTES, 3, 0},
	[BYTE_BIN32 - BYTE_NIL] = {K_BYTES, 5, 0},
	[BYTE_EXT8 - BYTE_NIL] = {K_BYTES, 2, 1},
	[BYTE_EXT16 - BYTE_NIL] = {K_BYTES, 3, 1},
	[BYTE_EXT32 - BYTE_NIL] = {K_BYTES, 5, 1},
	[BYTE_FIXEXT16 - BYTE_NIL] = {K_FIXED, 2, 16}, /* not in `fixed`, since its type is looked at */
	[BYTE_STR8 - BYTE_NIL] = {K_BYTES, 2, 0},
	[BYTE_STR16 - BYTE_NIL] = {K_BYTES, 3, 0},
	[BYTE_STR32 - BYTE_NIL] = {K_BYTES, 5, 0},
	[BYTE_ARRAY16 - BYTE_NIL] = {K_ITEMS, 3, 0},
	[BYTE_ARRAY32 - BYTE_NIL] = {K_ITEMS, 5, 0},
	[BYTE_MAP16 - BYTE_NIL] = {K_PAIRS, 3, 0},
	[BYTE_MAP32 - BYTE_NIL] = {K_PAIRS, 5, 0},
};

/* The length of a value whose first byte alone tells it. 0: see formats. */
#define FOUR(n) n, n, n, n
#define SIXTEEN(n) FOUR(n), FOUR(n), FOUR(n), FOUR(n)
static const uint8_t fixed[256] = {
	SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), /* positive fixint */
	SIXTEEN(0), SIXTEEN(0),                                                                         /* fixmap, fixarray */
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
	1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, /* nil, booleans, floats, uints */
	2, 3, 5, 9, 3, 4, 6, 10, 0, 0, 0, 0, 0, 0, 0, 0, /* ints, fixexts */
	SIXTEEN(1), SIXTEEN(1),                           /* negative fixint */
};

unsigned scan_fixed(uint8_t first)
{
	return fixed[first];
}

void scan_begin_many(struct scan *scan, uint32_t count, uint64_t limit)
{
	scan->pos = 0;
	scan->limit = limit;
	scan->flat = 0;
	scan->depth = 0;
	scan->deepest = 0;
	scan->refs = 0;
	scan->deep = false;
	scan->over = false;
	scan->left[0] = count;
}

void scan_begin(struct scan *scan, uint64_t limit)
{
	scan_begin_many(scan, 1, limit);
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

/* The header at `p`, of which `size` bytes are there. Returns the value's length without what it contains, *count how many
 * values follow in it (-1: it is no container); 0: more bytes are needed; -EBADMSG. */
static inline int64_t read_header(const uint8_t *p, size_t size, int64_t *count)
{
	const uint8_t first = *p;

	*count = -1;
	if (fixed[first])
		return fixed[first];
	if (first < BYTE_FIXSTR) { /* fixmap, fixarray */
		*count = first < BYTE_FIXARRAY ? 2 * (first & 15) : first & 15;
		return 1;
	}
	const struct format *f = &formats[first - BYTE_NIL];
	if (f->kind == K_BAD)
		return -EBADMSG;
	if (size < f->head)
		return 0;
	if (f->kind == K_FIXED)
		return f->head + f->extra;
	const uint32_t n = length_field(p, f->head);
	if (f->kind == K_BYTES)
		return (int64_t)f->head + f->extra + n;
	*count = (int64_t)n << (f->kind == K_PAIRS);
	return f->head;
}

/* Beyond the stack's depth only the number of values still to come is kept. */
static int run_flat(struct scan *scan, const uint8_t *bytes, size_t size)
{
	int64_t length = 0, count;

	while (scan->flat > 0 && scan->pos < size) {
		length = read_header(bytes + scan->pos, (size_t)(size - scan->pos), &count);
		if (length <= 0)
			break;
		scan->pos += (uint64_t)length;
		scan->flat += (uint64_t)(count > 0 ? count : 0) - 1;
		if (scan->flat > UINT64_MAX / 4)
			return -EBADMSG; /* nobody can send so many values */
	}
	if (length < 0)
		return (int)length;
	scan->over = scan->over || scan->pos + scan->flat > scan->limit;
	return scan->flat == 0 && scan->pos <= size;
}

static uint64_t owed(const struct scan *scan)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i <= scan->depth; i++)
		n += scan->left[i];
	return n;
}

/* One container too many for the stack: it holds `count` values. */
static int go_flat(struct scan *scan, const uint8_t *bytes, size_t size, uint64_t count)
{
	scan->flat = owed(scan) + count;
	scan->deep = true;
	return run_flat(scan, bytes, size);
}

/* Passes a value of `whole` bytes, and those of the same kind behind it. Returns their bytes. Columns are mostly of one kind:
 * then no step has to wait for the table. */
static inline size_t pass_alike(const uint8_t *bytes, size_t size, unsigned whole, uint64_t *left)
{
	size_t passed = whole;
	uint64_t count = 1;

	while (passed < size && count < *left && bytes[passed] == bytes[0]) {
		passed += whole;
		count++;
	}
	*left -= count;
	return passed;
}

int scan_run(struct scan *scan, const uint8_t *bytes, size_t size)
{
	uint64_t pos = scan->pos, here = scan->left[scan->depth];
	uint32_t depth = scan->depth;
	int64_t length = 0, count;

	if (scan->deep)
		return run_flat(scan, bytes, size);
	for (;;) {
		while (here == 0 && depth > 0)
			here = scan->left[--depth];
		if (here == 0 || pos >= size)
			break;
		const unsigned whole = fixed[bytes[pos]];
		if (whole) {
			pos += pass_alike(bytes + pos, (size_t)(size - pos), whole, &here);
			continue;
		}
		length = read_header(bytes + pos, (size_t)(size - pos), &count);
		if (length <= 0)
			break;
		scan->refs += bytes[pos] == BYTE_FIXEXT16 && bytes[pos + 1] == PAYLOAD_BYTES;
		pos += (uint64_t)length;
		here--;
		if (count >= 0 && depth >= scan->deepest && depth < SCAN_STACK)
			scan->deepest = depth + 1; /* an empty container is a level, too */
		if (count <= 0)
			continue;
		scan->left[depth] = here;
		if (depth == SCAN_STACK) {
			scan->pos = pos;
			scan->depth = depth;
			return go_flat(scan, bytes, size, (uint64_t)count);
		}
		here = (uint64_t)count;
		depth++;
	}
	scan->pos = pos;
	scan->depth = depth;
	scan->left[depth] = here;
	if (length < 0)
		return (int)length;
	scan->over = scan->over || pos + owed(scan) > scan->limit; /* each value still to come is a byte at least */
	return here == 0 && pos <= size;
}

/* The smallest size of a header that begins with this byte. */
static uint64_t header_min(uint8_t first)
{
	if (fixed[first] || first < BYTE_FIXSTR)
		return fixed[first] ? fixed[first] : 1;
	const struct format *f = &formats[first - BYTE_NIL];
	return f->kind == K_BAD ? 1 : (uint64_t)f->head + f->extra;
}

uint64_t scan_least(const struct scan *scan, const uint8_t *bytes, size_t size)
{
	const uint64_t min = scan->pos + (scan->deep ? scan->flat : owed(scan));
	return scan->pos < size ? min - 1 + header_min(bytes[scan->pos]) : min;
}

bool scan_end_is_known(const struct scan *scan)
{
	return !scan->deep && owed(scan) == 0;
}

int scan_step(const uint8_t **p, const uint8_t *end)
{
	int64_t count;
	const int64_t length = *p < end ? read_header(*p, (size_t)(end - *p), &count) : 0;

	if (length <= 0 || length > end - *p)
		return -EBADMSG;
	*p += length;
	return 0;
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
