/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/columns.h"

#include "daemon/core/records/pool.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int too_many(struct error *error)
{
	error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "more than %d arguments to zip", CALL_COLUMNS);
	return -EINVAL;
}

static int add_column(struct columns *columns, struct span array, struct span what, struct error *error)
{
	struct reader reader = reader_of(array);
	uint32_t n;

	if (columns->count == CALL_COLUMNS)
		return too_many(error);
	if (read_array(&reader, &n) < 0) {
		error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "argument %.*s must be an array: one item per task",
			  SPAN_TEXT(what, 64));
		return -EINVAL;
	}
	columns->at[columns->count++] = reader.p;
	if (n < columns->total)
		columns->total = n;
	return 0;
}

static int add_positional(struct columns *columns, const struct call *call, struct error *error)
{
	struct reader reader = reader_of(call->args);
	struct span column;
	char number[16];
	uint32_t n;

	if (call->shape != SHAPE_ZIP)
		return add_column(columns, call->args, (struct span){.bytes = (const uint8_t *)"args", .size = 4}, error);
	if (read_array(&reader, &n) < 0)
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (read_value(&reader, &column) < 0)
			return -EINVAL;
		const int size = snprintf(number, sizeof number, "%u", i);
		if (add_column(columns, column, (struct span){.bytes = (const uint8_t *)number, .size = (size_t)size}, error) < 0)
			return -EINVAL;
	}
	return 0;
}

static int add_keywords(struct columns *columns, struct call *call, struct error *error)
{
	struct reader reader = reader_of(call->kwargs);
	struct span key, text, column;
	uint32_t n = 0;

	if (call->kwargs.size == 0 || read_map(&reader, &n) < 0 || n == 0)
		return 0;
	if (n > CALL_COLUMNS)
		return too_many(error);
	if (!(call->keys = calloc(n, sizeof *call->keys))) {
		error_no_memory(error, RAN_NO);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct reader look = reader;
		if (read_value(&reader, &key) < 0 || read_text(&look, &text) < 0 || read_value(&reader, &column) < 0) {
			error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "keywords must be strings");
			return -EINVAL;
		}
		call->keys[i] = key;
		if (add_column(columns, column, text, error) < 0)
			return -EINVAL;
		columns->kwcount++;
	}
	return 0;
}

int columns_find(struct columns *columns, struct call *call, struct error *error)
{
	columns->count = columns->kwcount = 0;
	columns->total = UINT32_MAX;
	if (add_positional(columns, call, error) < 0 || add_keywords(columns, call, error) < 0)
		return -EINVAL;
	if (columns->count == 0) {
		error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "%s needs at least one array of items",
			  call->select == SELECT_MAP ? "map" : "scatter");
		return -EINVAL;
	}
	if (call->select == SELECT_SCATTER && columns->total != call->pool->size) {
		error_say(error, ERROR_BAD_ARGUMENT, RAN_NO,
			  "scatter over %u item%s, but pool %s has %u slot%s: one item per slot",
			  columns->total, plural(columns->total), call->pool->name, call->pool->size, plural(call->pool->size));
		return -EINVAL;
	}
	call->columns = columns->count;
	call->kwcolumns = columns->kwcount;
	account_charge(call->account, columns->kwcount * sizeof *call->keys);
	call->total = columns->total;
	return 0;
}
