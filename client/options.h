/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: structs of options grow at their end. What a program built with an older header does not know is zero.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* `own` becomes what the caller gave, as far as both know it; all zero for NULL. -EINVAL: no size was set. */
static inline int options_take(void *own, size_t own_size, const void *given)
{
	size_t size = 0;

	memset(own, 0, own_size);
	if (given)
		memcpy(&size, given, sizeof size); /* the first member of each */
	if (given && size <= sizeof size)
		return -EINVAL;
	if (given)
		memcpy(own, given, size < own_size ? size : own_size);
	return 0;
}
#define OPTIONS_TAKE(own, given) options_take(own, sizeof *(own), given)

#endif
