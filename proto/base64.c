/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base64.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char four[4], const uint8_t *bytes, size_t size)
{
	const uint32_t word = (uint32_t)bytes[0] << 16 | (size > 1 ? (uint32_t)bytes[1] << 8 : 0) | (size > 2 ? bytes[2] : 0u);

	four[0] = digits[word >> 18];
	four[1] = digits[word >> 12 & 63];
	four[2] = size > 1 ? digits[word >> 6 & 63] : '=';
	four[3] = size > 2 ? digits[word & 63] : '=';
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
