/* SPDX-License-Identifier: Apache-2.0 */
/*
 * csv: writes values as lines of comma-separated fields, quoted as RFC 4180 says, for `--format csv`.
 *
 * A map is a record: its keys are columns, and the first record is written below a line of their names. An array, or an ARRAY
 * (docs/VALUES.md) of one dimension, is a row. Any other value is a row of one field. All rows have as many fields as the first.
 *
 * A field is text as it is; a number, true or false; nothing for nil; nan, inf or -inf; and JSON for what else there is. Text
 * without a character is written as "", so that it differs from nil.
 */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "objpool/client.h"

#include <stdbool.h>
#include <stdio.h>

enum { CSV_REASON = 200 };

struct csv {
	struct objpool_bytes *columns; /* names of fields, packed: copies */
	struct objpool_bytes *cells;   /* of one record, in the order of the columns; no data: the record lacks it */
	size_t count;                  /* of columns */
	size_t width;                  /* fields of each row */
	enum { CSV_EMPTY, CSV_RECORDS, CSV_ROWS } kind;
	bool headed;   /* the names of the columns are written */
	bool terminal; /* text is escaped */
	char reason[CSV_REASON];
};

/* Takes over columns and width from a value that csv_write will get. 0; -1 with `reason`: it is not like those before. */
int csv_learn(struct csv *csv, struct objpool_bytes value);

/* Writes one record or row; learns from the first. 0; -1 with `reason`: nothing of it has been written. */
int csv_write(struct csv *csv, FILE *out, struct objpool_bytes value);

/* Writes a whole result: of an array, or an ARRAY, each item as a record or row. Nothing is written unless all of it can be. */
int csv_write_all(struct csv *csv, FILE *out, struct objpool_bytes value);

void csv_free(struct csv *csv);

#endif
