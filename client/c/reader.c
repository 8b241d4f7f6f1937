/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: reads msgpack from the first value to the last, without making objects. Each length is compared with the bytes that are
 * there before it is used.
 */
#include "objpool/client.h"

#include "proto/msgpack_bytes.h"
#include "proto/scan.h"

#include <errno.h>
#include <string.h>

struct objpool_reader objpool_reader(struct objpool_bytes values)
{
	const unsigned char *bytes = values.data;

	if (!bytes)
		return (struct objpool_reader){NULL, NULL};
	return (struct objpool_reader){.next = bytes, .end = bytes + values.size};
}

static size_t left(const struct objpool_reader *reader)
{
	return (size_t)(reader->end - reader->next);
}

enum objpool_type objpool_read_type(const struct objpool_reader *reader)
{
	static const unsigned char types[32] = {
		OBJPOOL_NIL, OBJPOOL_END, OBJPOOL_BOOL, OBJPOOL_BOOL, OBJPOOL_BIN, OBJPOOL_BIN, OBJPOOL_BIN, OBJPOOL_EXT,
		OBJPOOL_EXT, OBJPOOL_EXT, OBJPOOL_DOUBLE, OBJPOOL_DOUBLE, OBJPOOL_INT, OBJPOOL_INT, OBJPOOL_INT, OBJPOOL_INT,
		OBJPOOL_INT, OBJPOOL_INT, OBJPOOL_INT, OBJPOOL_INT, OBJPOOL_EXT, OBJPOOL_EXT, OBJPOOL_EXT, OBJPOOL_EXT,
		OBJPOOL_EXT, OBJPOOL_STR, OBJPOOL_STR, OBJPOOL_STR, OBJPOOL_ARRAY, OBJPOOL_ARRAY, OBJPOOL_MAP, OBJPOOL_MAP,
	};

	if (left(reader) == 0)
		return OBJPOOL_END;
	const unsigned char first = *reader->next;
	if (first <= BYTE_FIXINT_MAX || first >= BYTE_NEGATIVE)
		return OBJPOOL_INT;
	if (first < BYTE_FIXARRAY)
		return OBJPOOL_MAP;
	if (first < BYTE_FIXSTR)
		return OBJPOOL_ARRAY;
	return first < BYTE_NIL ? OBJPOOL_STR : (enum objpool_type)types[first - BYTE_NIL];
}

/* Reads the first byte and the number in the `n` bytes after it. */
static int field(struct objpool_reader *reader, unsigned n, uint64_t *value)
{
	if (left(reader) < 1 + (size_t)n)
		return -EINVAL;
	*value = 0;
	for (unsigned i = 1; i <= n; i++)
		*value = *value << 8 | reader->next[i];
	reader->next += 1 + n;
	return 0;
}

static int take(struct objpool_reader *reader, uint64_t size, const void **bytes)
{
	if (left(reader) < size)
		return -EINVAL;
	*bytes = reader->next;
	reader->next += size;
	return 0;
}

int objpool_read_nil(struct objpool_reader *reader)
{
	if (objpool_read_type(reader) != OBJPOOL_NIL)
		return -EINVAL;
	reader->next++;
	return 0;
}

int objpool_read_bool(struct objpool_reader *reader, bool *value)
{
	if (objpool_read_type(reader) != OBJPOOL_BOOL)
		return -EINVAL;
	*value = *reader->next++ == BYTE_TRUE;
	return 0;
}

/* Reads an integer as its 64 bits, and whether it is negative. */
static int read_integer(struct objpool_reader *reader, uint64_t *bits, bool *negative)
{
	if (objpool_read_type(reader) != OBJPOOL_INT)
		return -EINVAL;
	const unsigned char first = *reader->next;
	if (first < BYTE_UINT8 || first > BYTE_INT64) {
		*bits = (uint64_t)(int64_t)(int8_t)first;
		*negative = first >= 0xe0;
		reader->next++;
		return 0;
	}
	const unsigned n = 1u << (first & 3u);
	if (field(reader, n, bits) < 0)
		return -EINVAL;
	const unsigned unused = 64 - 8 * n;
	*negative = first >= BYTE_INT8 && (*bits >> (8 * n - 1)) != 0;
	if (*negative)
		*bits = (uint64_t)((int64_t)(*bits << unused) >> unused);
	return 0;
}

int objpool_read_int(struct objpool_reader *reader, int64_t *value)
{
	struct objpool_reader ahead = *reader;
	uint64_t bits;
	bool negative;

	if (read_integer(&ahead, &bits, &negative) < 0 || (!negative && bits > INT64_MAX))
		return -EINVAL;
	*value = (int64_t)bits;
	*reader = ahead;
	return 0;
}

int objpool_read_uint(struct objpool_reader *reader, uint64_t *value)
{
	struct objpool_reader ahead = *reader;
	bool negative;

	if (read_integer(&ahead, value, &negative) < 0 || negative)
		return -EINVAL;
	*reader = ahead;
	return 0;
}

int objpool_read_double(struct objpool_reader *reader, double *value)
{
	uint64_t bits;
	bool negative;

	if (objpool_read_type(reader) == OBJPOOL_INT) {
		if (read_integer(reader, &bits, &negative) < 0)
			return -EINVAL;
		*value = negative ? (double)(int64_t)bits : (double)bits;
		return 0;
	}
	if (objpool_read_type(reader) != OBJPOOL_DOUBLE)
		return -EINVAL;
	const bool narrow = *reader->next == BYTE_FLOAT32;
	if (field(reader, narrow ? 4 : 8, &bits) < 0)
		return -EINVAL;
	if (narrow) {
		const uint32_t low = (uint32_t)bits;
		float f;
		memcpy(&f, &low, sizeof f);
		*value = (double)f;
	} else {
		memcpy(value, &bits, sizeof *value);
	}
	return 0;
}

/* Reads bytes with a length of 8, 16 or 32 bits. `first`: the first byte of the 8-bit form. */
static int read_sized(struct objpool_reader *reader, unsigned first, const void **bytes, size_t *size)
{
	struct objpool_reader ahead = *reader;
	uint64_t length;

	if (field(&ahead, 1u << (*ahead.next - first), &length) < 0 || take(&ahead, length, bytes) < 0)
		return -EINVAL;
	*size = (size_t)length;
	*reader = ahead;
	return 0;
}

int objpool_read_str(struct objpool_reader *reader, const char **text, size_t *size)
{
	const void *bytes;

	if (objpool_read_type(reader) != OBJPOOL_STR)
		return -EINVAL;
	if (*reader->next >= BYTE_STR8) {
		if (read_sized(reader, BYTE_STR8, &bytes, size) < 0)
			return -EINVAL;
	} else {
		struct objpool_reader ahead = {.next = reader->next + 1, .end = reader->end};
		*size = *reader->next & 31u;
		if (take(&ahead, *size, &bytes) < 0)
			return -EINVAL;
		*reader = ahead;
	}
	*text = bytes;
	return 0;
}

int objpool_read_bin(struct objpool_reader *reader, const void **bytes, size_t *size)
{
	return objpool_read_type(reader) == OBJPOOL_BIN ? read_sized(reader, BYTE_BIN8, bytes, size) : -EINVAL;
}

int objpool_read_ext(struct objpool_reader *reader, int8_t *type, const void **bytes, size_t *size)
{
	struct objpool_reader ahead = *reader;
	const void *kind;
	uint64_t length;

	if (objpool_read_type(reader) != OBJPOOL_EXT)
		return -EINVAL;
	if (*ahead.next >= BYTE_FIXEXT1) {
		length = 1u << (*ahead.next - BYTE_FIXEXT1);
		ahead.next++;
	} else if (field(&ahead, 1u << (*ahead.next - BYTE_EXT8), &length) < 0) {
		return -EINVAL;
	}
	if (take(&ahead, 1, &kind) < 0 || take(&ahead, length, bytes) < 0)
		return -EINVAL;
	memcpy(type, kind, 1);
	*size = (size_t)length;
	*reader = ahead;
	return 0;
}

/* Reads a count: in the low bits of the first byte, or in 16 or 32 bits. `wide`: the first byte of the 16-bit form. */
static int read_count(struct objpool_reader *reader, unsigned wide, uint32_t *count)
{
	uint64_t n;

	if (*reader->next < BYTE_FIXSTR) {
		*count = *reader->next++ & 15u;
		return 0;
	}
	if (field(reader, *reader->next == wide ? 2 : 4, &n) < 0)
		return -EINVAL;
	*count = (uint32_t)n;
	return 0;
}

int objpool_read_array(struct objpool_reader *reader, uint32_t *count)
{
	return objpool_read_type(reader) == OBJPOOL_ARRAY ? read_count(reader, BYTE_ARRAY16, count) : -EINVAL;
}

int objpool_read_map(struct objpool_reader *reader, uint32_t *count)
{
	return objpool_read_type(reader) == OBJPOOL_MAP ? read_count(reader, BYTE_MAP16, count) : -EINVAL;
}

int objpool_read_value(struct objpool_reader *reader, struct objpool_bytes *value)
{
	const int64_t size = left(reader) ? scan_length(reader->next, left(reader)) : 0;

	if (size <= 0)
		return -EINVAL;
	if (value)
		*value = (struct objpool_bytes){reader->next, (size_t)size};
	reader->next += size;
	return 0;
}
