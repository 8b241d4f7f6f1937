/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cage.h"

#include <stdbool.h>

/* Reads a number below CPU_SETSIZE. */
static bool read_cpu(const char **text, const char *end, unsigned *cpu)
{
	const char *p = *text;

	for (*cpu = 0; p < end && *p >= '0' && *p <= '9' && *cpu < CPU_SETSIZE; p++)
		*cpu = 10 * *cpu + (unsigned)(*p - '0');
	const bool good = p > *text && *cpu < CPU_SETSIZE;
	*text = p;
	return good;
}

int cage_parse_cpus(const char *text, size_t size, cpu_set_t *set)
{
	const char *end = text + size;
	unsigned first, last;

	CPU_ZERO(set);
	for (;; text++) {
		if (!read_cpu(&text, end, &first))
			return -1;
		last = first;
		if (text < end && *text == '-') {
			text++;
			if (!read_cpu(&text, end, &last) || last < first)
				return -1;
		}
		for (; first <= last; first++)
			CPU_SET(first, set);
		if (text == end)
			return 0;
		if (*text != ',')
			return -1;
	}
}
