/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: structs of options grow at their end. A program that was built with an older header passes a shorter struct: the
 * members that it does not have are zero.
 */
#ifndef CLIENT_C_OPTIONS_H
#define CLIENT_C_OPTIONS_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * Copies the members that both structs have to `own`, and sets the others to zero. NULL: all are zero. 0; -EINVAL: `size` is
 * not set.
 */
static inline int options_take(void *own, size_t own_size, const void *given)
{
	size_t size = 0;

	memset(own, 0, own_size);
	if (given)
		memcpy(&size, given, sizeof size); /* is the first member of each struct of options */
	if (given && size <= sizeof size)
		return -EINVAL;
	if (given)
		memcpy(own, given, size < own_size ? size : own_size);
	return 0;
}
#define OPTIONS_TAKE(own, given) options_take(own, sizeof *(own), given)

#endif
