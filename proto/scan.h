/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: finds where one msgpack value ends, without making objects and without allocating.
 *
 * The caller keeps the bytes of the value in one buffer, which grows at its end as bytes arrive, and calls scan_run with all of
 * it. The scan goes on where it stopped: a value in a thousand pieces costs no more than one in one piece. A scan is used for one
 * value, and not after an error.
 *
 * A length or count in the bytes only moves `pos` and the smallest possible end: nothing is allocated by it.
 *
 *      0 ............ pos ............... size ...... smallest end
 *      | passed       | next header        | arrived    | no value can end before here
 */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCAN_LEVELS = 32,  /* of nesting in a value: what msgpack-c takes apart */
	SCAN_ENVELOPE = 5, /* levels that a message has around its values: message, params, options, kwargs, column */
	SCAN_STACK = SCAN_LEVELS + SCAN_ENVELOPE,
};

struct scan {
	uint64_t pos;   /* offset of the next header; may lie beyond what has arrived */
	uint64_t limit; /* the value must not be longer than this */
	uint64_t flat;  /* deep: values still to come in all */
	uint32_t depth; /* open containers */
	uint32_t deepest; /* that there have been at once */
	uint32_t refs;  /* ext PAYLOAD_BYTES of 16 bytes passed (proto/payload_ref.h), unless it is deep */
	bool deep;      /* nested beyond SCAN_STACK: the end will be found all the same */
	bool over;      /* longer than limit, or certain to become so: the end will be found all the same */
	uint64_t left[SCAN_STACK + 1]; /* values still to come: outside of all containers, and in each */
};

/* Begins a value of at most `limit` bytes, or `count` such values, one behind the other. */
void scan_begin(struct scan *scan, uint64_t limit);
void scan_begin_many(struct scan *scan, uint32_t count, uint64_t limit);

/*
 * Goes on with the `size` bytes that have arrived of the value. Returns 1 when it is whole (its length is scan->pos),
 * 0 when more bytes are needed, -EBADMSG at a byte that no msgpack value begins with.
 */
int scan_run(struct scan *scan, const uint8_t *bytes, size_t size);

/* The smallest possible size of the value, after scan_run has got `size` bytes of it and returned 0. */
uint64_t scan_least(const struct scan *scan, const uint8_t *bytes, size_t size);

/* Is the end of the value known? It is when only the rest of one value that contains no others is still to come. */
bool scan_end_is_known(const struct scan *scan);

/* Tells the scan that the caller has thrown away the first `count` bytes (at most pos) of its buffer. */
static inline void scan_forget(struct scan *scan, uint64_t count)
{
	scan->pos -= count;
}

/* The length of a value that begins with this byte, where that alone tells it: a number's, a short string's. Else 0. */
unsigned scan_fixed(uint8_t first);

/* Passes one header, and the bytes that belong to it: a container's values come next. 0, or -EBADMSG. */
int scan_step(const uint8_t **p, const uint8_t *end);

/* The length of the value at the beginning of `bytes`; 0 when it is not whole; -EBADMSG. At most SSIZE_MAX / 2 bytes. */
int64_t scan_length(const uint8_t *bytes, size_t size);

/* The nesting of the whole, valid value: 0 for a number, 1 for [1], 2 for [[1]]. UINT32_MAX beyond SCAN_STACK. */
uint32_t scan_nesting(const uint8_t *bytes, size_t size);

#endif
