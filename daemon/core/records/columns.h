/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: the arrays among the arguments of a map or scatter, one item per task: task n gets item n of each.
 *
 *   args [[1, 2, 3], [4, 5, 6]]      two columns, three tasks: f(1, 4), f(2, 5), f(3, 6)
 */
#ifndef CORE_COLUMNS_H
#define CORE_COLUMNS_H

#include "daemon/core/records/call.h"

struct columns {
	const uint8_t *at[CALL_COLUMNS];
	uint32_t count, kwcount;
	uint32_t total; /* the shortest */
};

/* Finds those of the call, and says in the call how many they and its tasks are. 0, or -EINVAL with *error made. */
int columns_find(struct columns *columns, struct call *call, struct error *error);

#endif
