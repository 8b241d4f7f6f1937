/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: the arrays among the arguments of a map or scatter. Task n gets item n of each array.
 *
 *   args [[1, 2, 3], [4, 5, 6]]      two columns, three tasks: f(1, 4), f(2, 5), f(3, 6)
 */
#ifndef CORE_COLUMNS_H
#define CORE_COLUMNS_H

#include "daemon/core/records/call.h"

struct columns {
	const uint8_t *at[CALL_COLUMNS];
	uint32_t count, kwcount;
	uint32_t total; /* tasks: the length of the shortest array */
};

/* Finds the columns of the call. Sets the call's numbers of columns and tasks, and its keys. 0, or -EINVAL with *error made. */
int columns_find(struct columns *columns, struct call *call, struct error *error);

#endif
