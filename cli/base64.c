/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/base64.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(FILE *out, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i += 3) {
		const size_t n = size - i < 3 ? size - i : 3;
		const uint32_t word = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
		char four[4] = {digits[word >> 18], digits[word >> 12 & 63], digits[word >> 6 & 63], digits[word & 63]};
		memset(four + 1 + n, '=', 3 - n);
		(void)fwrite_unlocked(four, 1, sizeof four, out);
	}
}

int64_t base64_read(unsigned char *bytes, const char *text, size_t size)
{
	unsigned char *p = bytes;
	uint32_t word = 0;
	size_t padding = 0;

	if (size % 4 != 0)
		return -EINVAL;
	while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < size; i++) {
		const char *digit = i < size - padding ? memchr(digits, text[i], sizeof digits - 1) : digits;
		if (!digit)
			return -EINVAL;
		word = word << 6 | (uint32_t)(digit - digits);
		if (i % 4 != 3)
			continue;
		*p++ = (unsigned char)(word >> 16);
		*p++ = (unsigned char)(word >> 8);
		*p++ = (unsigned char)word;
	}
	return p - bytes - (int64_t)padding;
}
