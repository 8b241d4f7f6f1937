/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum: a check of what came by the bus. A client library of the bus may hand on a message whose end is not its own: libnats does
 * when a connection breaks in the middle of a message, and fills it with what the next connection reads. It is no protection
 * against who wants to deceive.
 */
#ifndef GATEWAY_SUM_H
#define GATEWAY_SUM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SUM_WORD = 8, SUM_ROW = 4 * SUM_WORD };

static inline uint64_t sum_mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

static inline uint64_t sum_word(uint64_t sum, const uint8_t *bytes, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, bytes, size);
	return sum_mix(sum, le64toh(word));
}

/* Of whole rows of four words. A word waits only for the word above it, so that a processor works on four at once. */
static inline uint64_t sum_rows(uint64_t sum, const uint8_t *bytes, size_t rows)
{
	uint64_t a = sum, b = sum + 1, c = sum + 2, d = sum + 3;

	for (; rows > 0; rows--, bytes += SUM_ROW) {
		a = sum_word(a, bytes, SUM_WORD);
		b = sum_word(b, bytes + SUM_WORD, SUM_WORD);
		c = sum_word(c, bytes + 2 * SUM_WORD, SUM_WORD);
		d = sum_word(d, bytes + 3 * SUM_WORD, SUM_WORD);
	}
	return sum_mix(sum_mix(sum_mix(a, b), c), d);
}

/* Goes on from `sum`, which is 0 at first. */
static inline uint64_t sum_of(uint64_t sum, const uint8_t *bytes, size_t size)
{
	const size_t rows = size / SUM_ROW;

	sum += size;
	if (rows > 1) {
		sum = sum_rows(sum, bytes, rows);
		bytes += rows * SUM_ROW;
		size -= rows * SUM_ROW;
	}
	for (; size >= SUM_WORD; bytes += SUM_WORD, size -= SUM_WORD)
		sum = sum_word(sum, bytes, SUM_WORD);
	return sum_word(sum, bytes, size);
}

#endif
