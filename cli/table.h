/* SPDX-License-Identifier: Apache-2.0 */
/* table: rows of text in columns as wide as they need to be; columns of numbers stand to the right. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "objpool/client.h"

#include <stdio.h>

struct column {
	const char *title;
	const char *key; /* in the maps that become rows */
	bool right;
};

/* Ends with a column without title. */
struct table {
	const struct column *columns;
	char **cells;
	size_t count, capacity; /* of cells; titles first */
	bool failed;            /* no memory: printed as far as it goes */
};

void table_begin(struct table *table, const struct column *columns);

/* A packed map becomes a row. For field_each: `context` is the table. */
void table_add(void *context, struct objpool_bytes map);

/* Prints every line with `indent` before it, and frees. */
void table_end(struct table *table, FILE *out, const char *indent);

#endif
