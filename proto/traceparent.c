/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/traceparent.h"

#include <string.h>

static const char form[] = "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";

static bool is_hexadecimal(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool are_zeros(const char *digits, size_t count)
{
	return strspn(digits, "0") >= count;
}

bool traceparent_is_one(const void *text, size_t size)
{
	const char *p = text;

	if (size != TRACEPARENT)
		return false;
	for (size_t i = 0; i < TRACEPARENT; i++)
		if (form[i] == 'h' ? !is_hexadecimal(p[i]) : p[i] != form[i])
			return false;
	return memcmp(p, "ff", 2) != 0 && !are_zeros(p + 3, 32) && !are_zeros(p + 36, 16);
}
