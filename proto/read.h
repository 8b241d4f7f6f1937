/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read: takes apart bytes that a scan has passed (validate once, then trust): headers and small values, from front to
 * back. Every function returns 0, or -EINVAL when the next value is of another type; nothing is passed then.
 */
#ifndef PROTO_READ_H
#define PROTO_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const uint8_t *bytes;
	size_t size;
};

struct reader {
	const uint8_t *p, *end;
};

static inline struct reader reader_of(struct span span)
{
	return (struct reader){.p = span.bytes, .end = span.bytes + span.size};
}

int read_array(struct reader *reader, uint32_t *count);
int read_map(struct reader *reader, uint32_t *count);
int read_uint(struct reader *reader, uint64_t *value); /* any encoding of an integer that isn't negative */
int read_int(struct reader *reader, int64_t *value);
int read_bool(struct reader *reader, bool *value);
int read_nil(struct reader *reader);
int read_text(struct reader *reader, struct span *text); /* str or bin */
int read_str(struct reader *reader, struct span *text);  /* str only */
int read_bytes(struct reader *reader, struct span *text); /* bin only */

/* The next value whole, whatever it is. */
int read_value(struct reader *reader, struct span *value);

/* Passes the next `count` values; *value is what they cover. */
int read_values(struct reader *reader, uint32_t count, struct span *values);

bool span_is(struct span span, const char *text);

#endif
