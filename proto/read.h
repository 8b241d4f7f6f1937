/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read: reads headers and small values from bytes that a scan has checked (validate once, then trust), from front to back. Each
 * function returns 0, or -EINVAL if the next value is of another type; then the reader stays where it is.
 */
#ifndef PROTO_READ_H
#define PROTO_READ_H

#include "proto/payload_ref.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *bytes;
	size_t size;
};

struct reader {
	const uint8_t *p, *end;
};

/* At most `max` bytes of the text in a span, as the two arguments of "%.*s". */
#define SPAN_TEXT(span, max) (int)((span).size < (max) ? (span).size : (max)), (const char *)(span).bytes

static inline struct reader reader_of(struct span span)
{
	return (struct reader){.p = span.bytes,
			       .end = span.size ? span.bytes + span.size : span.bytes}; /* NULL + 0 is undefined */
}

/* What has not been read. */
static inline struct span reader_rest(const struct reader *reader)
{
	return (struct span){.bytes = reader->p, .size = (size_t)(reader->end - reader->p)};
}

int read_array_long(struct reader *reader, uint32_t *count);
static inline int read_array(struct reader *reader, uint32_t *count)
{
	if (reader->p < reader->end && (*reader->p & 0xf0) == BYTE_FIXARRAY) {
		*count = *reader->p++ & 15;
		return 0;
	}
	return read_array_long(reader, count);
}
int read_map(struct reader *reader, uint32_t *count);
int read_int(struct reader *reader, int64_t *value);

/* Any encoding of an integer that isn't negative. */
int read_uint_long(struct reader *reader, uint64_t *value);
static inline int read_uint(struct reader *reader, uint64_t *value)
{
	if (reader->p < reader->end && *reader->p <= BYTE_FIXINT_MAX) {
		*value = *reader->p++;
		return 0;
	}
	if (reader->end - reader->p >= 5 && *reader->p == BYTE_UINT32) {
		uint32_t v;
		memcpy(&v, reader->p + 1, sizeof v);
		*value = be32toh(v);
		reader->p += 5;
		return 0;
	}
	return read_uint_long(reader, value);
}

/* A number, integer or float. */
int read_number(struct reader *reader, double *value);

/* A whole number that isn't negative. It may be a float: some languages have no integers. */
int read_whole(struct reader *reader, uint64_t *value);

int read_bool(struct reader *reader, bool *value);
int read_nil(struct reader *reader);
int read_text(struct reader *reader, struct span *text); /* str or bin */
int read_str(struct reader *reader, struct span *text);  /* str only */
int read_bytes(struct reader *reader, struct span *text); /* bin only */
int read_ext(struct reader *reader, int8_t *type, struct span *bytes); /* of those whose header has a length */

/* The next value as a whole, of any type. */
int read_value(struct reader *reader, struct span *value);

/* Passes the next `count` values, and sets *value to their bytes. */
int read_values(struct reader *reader, uint32_t count, struct span *values);

/* Passes values up to and with the next ext PAYLOAD_BYTES, however deep. False: there is none in the rest. */
bool read_find_ref(struct reader *reader, struct payload_ref *ref);

bool span_is(struct span span, const char *text);

#endif
