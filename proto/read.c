/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/read.h"

#include "proto/scan.h"

#include <errno.h>
#include <string.h>

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Reads a length of `n` bytes after the first byte. */
static int sized(struct reader *reader, unsigned n, uint32_t *count)
{
	if ((size_t)(reader->end - reader->p) < 1 + (size_t)n)
		return -EINVAL;
	*count = (uint32_t)big_endian(reader->p + 1, n);
	reader->p += 1 + n;
	return 0;
}

int read_array_long(struct reader *reader, uint32_t *count)
{
	if (reader->p >= reader->end)
		return -EINVAL;
	const uint8_t first = *reader->p;
	if (first == BYTE_ARRAY16 || first == BYTE_ARRAY32)
		return sized(reader, first == BYTE_ARRAY16 ? 2 : 4, count);
	return -EINVAL;
}

int read_map(struct reader *reader, uint32_t *count)
{
	if (reader->p >= reader->end)
		return -EINVAL;
	const uint8_t first = *reader->p;
	if ((first & 0xf0) == BYTE_FIXMAP) {
		*count = first & 15;
		reader->p++;
		return 0;
	}
	if (first == BYTE_MAP16 || first == BYTE_MAP32)
		return sized(reader, first == BYTE_MAP16 ? 2 : 4, count);
	return -EINVAL;
}

int read_int(struct reader *reader, int64_t *value)
{
	if (reader->p >= reader->end)
		return -EINVAL;
	const uint8_t first = *reader->p;
	if (first <= BYTE_FIXINT_MAX || first >= BYTE_NEGATIVE) {
		*value = (int8_t)first;
		reader->p++;
		return 0;
	}
	if (first < BYTE_UINT8 || first > BYTE_INT64)
		return -EINVAL;
	const unsigned n = 1u << (first & 3);
	if ((size_t)(reader->end - reader->p) < 1 + (size_t)n)
		return -EINVAL;
	const uint64_t raw = big_endian(reader->p + 1, n);
	if (first < BYTE_INT8) {
		if (raw > INT64_MAX)
			return -EINVAL;
		*value = (int64_t)raw;
	} else {
		const unsigned unused = 64 - 8 * n;
		*value = (int64_t)(raw << unused) >> unused;
	}
	reader->p += 1 + n;
	return 0;
}

int read_uint_long(struct reader *reader, uint64_t *value)
{
	if (reader->end - reader->p >= 9 && *reader->p == BYTE_UINT64) {
		*value = big_endian(reader->p + 1, 8);
		reader->p += 9;
		return 0;
	}
	struct reader ahead = *reader;
	int64_t v;
	if (read_int(&ahead, &v) < 0 || v < 0)
		return -EINVAL;
	*reader = ahead;
	*value = (uint64_t)v;
	return 0;
}

static int read_float(struct reader *reader, double *value)
{
	const size_t left = (size_t)(reader->end - reader->p);
	uint64_t bits;
	uint32_t few;
	float f;

	if (left >= 5 && *reader->p == BYTE_FLOAT32) {
		few = (uint32_t)big_endian(reader->p + 1, 4);
		memcpy(&f, &few, sizeof f);
		*value = (double)f;
		reader->p += 5;
		return 0;
	}
	if (left < 9 || *reader->p != BYTE_FLOAT64)
		return -EINVAL;
	bits = big_endian(reader->p + 1, 8);
	memcpy(value, &bits, sizeof bits);
	reader->p += 9;
	return 0;
}

int read_number(struct reader *reader, double *value)
{
	uint64_t u;
	int64_t i;

	if (read_int(reader, &i) == 0)
		*value = (double)i;
	else if (read_uint(reader, &u) == 0)
		*value = (double)u;
	else
		return read_float(reader, value);
	return 0;
}

int read_whole(struct reader *reader, uint64_t *value)
{
	const double exact = 9007199254740992.0; /* beyond 2^53 not every whole number is one */
	struct reader look = *reader;
	double f;

	if (read_uint(reader, value) == 0)
		return 0;
	if (read_float(&look, &f) < 0 || !(f >= 0 && f <= exact) || (double)(uint64_t)f < f)
		return -EINVAL;
	*reader = look;
	*value = (uint64_t)f;
	return 0;
}

int read_bool(struct reader *reader, bool *value)
{
	if (reader->p >= reader->end || (*reader->p != BYTE_FALSE && *reader->p != BYTE_TRUE))
		return -EINVAL;
	*value = *reader->p++ == BYTE_TRUE;
	return 0;
}

int read_nil(struct reader *reader)
{
	if (reader->p >= reader->end || *reader->p != BYTE_NIL)
		return -EINVAL;
	reader->p++;
	return 0;
}

static int take(struct reader *reader, uint32_t n, struct span *text)
{
	if ((size_t)(reader->end - reader->p) < n)
		return -EINVAL;
	*text = (struct span){.bytes = reader->p, .size = n};
	reader->p += n;
	return 0;
}

int read_str(struct reader *reader, struct span *text)
{
	uint32_t n;

	if (reader->p >= reader->end)
		return -EINVAL;
	struct reader ahead = *reader;
	const uint8_t first = *ahead.p;
	if ((first & 0xe0) == BYTE_FIXSTR) {
		n = first & 31;
		ahead.p++;
	} else if (first < BYTE_STR8 || first > BYTE_STR32 || sized(&ahead, 1u << (first - BYTE_STR8), &n) < 0) {
		return -EINVAL;
	}
	if (take(&ahead, n, text) < 0)
		return -EINVAL;
	*reader = ahead;
	return 0;
}

int read_bytes(struct reader *reader, struct span *text)
{
	uint32_t n;

	if (reader->p >= reader->end)
		return -EINVAL;
	struct reader ahead = *reader;
	const uint8_t first = *ahead.p;
	if (first < BYTE_BIN8 || first > BYTE_BIN32 || sized(&ahead, 1u << (first - BYTE_BIN8), &n) < 0 ||
	    take(&ahead, n, text) < 0)
		return -EINVAL;
	*reader = ahead;
	return 0;
}

int read_ext(struct reader *reader, int8_t *type, struct span *bytes)
{
	uint32_t n;

	if (reader->p >= reader->end)
		return -EINVAL;
	struct reader ahead = *reader;
	const uint8_t first = *ahead.p;
	if (first < BYTE_EXT8 || first > BYTE_EXT32 || sized(&ahead, 1u << (first - BYTE_EXT8), &n) < 0 || ahead.p == ahead.end)
		return -EINVAL;
	*type = (int8_t)*ahead.p++;
	if (take(&ahead, n, bytes) < 0)
		return -EINVAL;
	*reader = ahead;
	return 0;
}

int read_text(struct reader *reader, struct span *text)
{
	return read_str(reader, text) == 0 ? 0 : read_bytes(reader, text);
}

int read_value(struct reader *reader, struct span *value)
{
	const int64_t n = scan_length(reader->p, (size_t)(reader->end - reader->p));
	if (n <= 0)
		return -EINVAL;
	*value = (struct span){.bytes = reader->p, .size = (size_t)n};
	reader->p += n;
	return 0;
}

int read_values(struct reader *reader, uint32_t count, struct span *values)
{
	const size_t n = (size_t)(reader->end - reader->p);
	struct scan scan;

	scan_begin_many(&scan, count, INT64_MAX);
	if (scan_run(&scan, reader->p, n) != 1)
		return -EINVAL;
	*values = (struct span){.bytes = reader->p, .size = (size_t)scan.pos};
	reader->p += scan.pos;
	return 0;
}

bool span_is(struct span span, const char *text)
{
	return span.size == strlen(text) && memcmp(span.bytes, text, span.size) == 0;
}

bool read_find_ref(struct reader *reader, struct payload_ref *ref)
{
	while (reader->p < reader->end) {
		const uint8_t *at = reader->p;
		if (scan_step(&reader->p, reader->end) < 0)
			return false;
		if (payload_is_ref(at, (size_t)(reader->end - at), PAYLOAD_BYTES)) {
			*ref = payload_read_ref(at);
			return true;
		}
	}
	return false;
}
