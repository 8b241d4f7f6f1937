/* SPDX-License-Identifier: Apache-2.0 */
/* table: prints rows of text in columns that are as wide as their text. Columns of numbers are aligned to the right. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "objpool/client.h"

#include <stdio.h>

struct column {
	const char *title;
	const char *key; /* in the maps that become rows; "ready/slots": two, which become one cell, as 3/4 */
	bool right;
};

/* Ends with a column without title. */
struct table {
	const struct column *columns;
	char **cells;
	size_t count, capacity; /* of cells; titles first */
	bool failed;            /* out of memory: only the first rows are printed */
};

void table_begin(struct table *table, const struct column *columns);

/* Adds a row from a packed map. For field_each: `context` is the table. */
void table_add(void *context, struct objpool_bytes map);

/* The same, with what the first map lacks from the other. */
void table_add_two(struct table *table, struct objpool_bytes map, struct objpool_bytes other);

/* Prints each line with `indent` before it, and frees the table. */
void table_end(struct table *table, FILE *out, const char *indent);

#endif
