/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/base64.h"

#include "proto/base64.h"

void base64_write(FILE *out, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	char four[4];

	for (size_t i = 0; i < size; i += 3) {
		base64_encode(four, p + i, size - i < 3 ? size - i : 3);
		(void)fwrite_unlocked(four, 1, sizeof four, out);
	}
}
