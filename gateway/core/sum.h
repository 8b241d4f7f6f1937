/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum: a check of what came by the bus. A client library of the bus may hand on a message whose end is not its own: libnats does
 * when a connection breaks in the middle of a message, and fills it with what the next connection reads.
 */
#ifndef GATEWAY_SUM_H
#define GATEWAY_SUM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Goes on from `sum`, which is 0 at first. It is no protection against who wants to deceive. */
static inline uint64_t sum_of(uint64_t sum, const uint8_t *bytes, size_t size)
{
	uint64_t word;

	sum += size;
	for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
		memcpy(&word, bytes, sizeof word);
		sum = (sum ^ le64toh(word)) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	word = 0;
	memcpy(&word, bytes, size);
	sum = (sum ^ le64toh(word)) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

#endif
