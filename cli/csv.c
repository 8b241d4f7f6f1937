/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/csv.h"

#include "cli/json.h"
#include "cli/ndarray.h"
#include "cli/shown.h"
#include "proto/json_float.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_COLUMNS = 4096 };

#define REFUSE(csv, ...) (snprintf((csv)->reason, CSV_REASON, __VA_ARGS__), -1)

/* Fields. */

static void put_quoted(FILE *out, const char *text, size_t size)
{
	const char *quote;

	(void)fputc('"', out);
	while ((quote = memchr(text, '"', size))) {
		const size_t n = (size_t)(quote - text) + 1;
		(void)fwrite(text, 1, n, out);
		(void)fputc('"', out);
		text += n;
		size -= n;
	}
	(void)fwrite(text, 1, size, out);
	(void)fputc('"', out);
}

static bool needs_quotes(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (strchr(",\"\r\n", text[i]) && text[i])
			return true;
	return size == 0 || text[0] == ' ' || text[size - 1] == ' ';
}

static void put_text(FILE *out, const char *text, size_t size)
{
	if (needs_quotes(text, size))
		put_quoted(out, text, size);
	else
		(void)fwrite(text, 1, size, out);
}

static void put_double(FILE *out, double number)
{
	char text[JSON_FLOAT];

	(void)fputs(isnan(number) ? "nan" : isinf(number) ? (number < 0 ? "-inf" : "inf") : json_float(text, number), out);
}

/* What `write` writes about the value, as a field. */
static void put_written(FILE *out, void (*write)(FILE *, struct objpool_bytes), struct objpool_bytes value)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return;
	write(memory, value);
	if (fclose(memory) == 0)
		put_text(out, text, size);
	free(text);
}

/* Escapes what could act on the terminal. */
static void write_shown(FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	const char *text = "";
	size_t size = 0;

	(void)objpool_read_str(&reader, &text, &size);
	shown_text(out, text, size);
}

static void put_string(const struct csv *csv, FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	const char *text = "";
	size_t size = 0;

	if (csv->terminal) {
		put_written(out, write_shown, value);
		return;
	}
	(void)objpool_read_str(&reader, &text, &size);
	put_text(out, text, size);
}

/* A line must not be empty: readers skip such lines. So nil is written as "" where it is alone. */
static void put_field(const struct csv *csv, FILE *out, struct objpool_bytes value, bool alone)
{
	struct objpool_reader reader = objpool_reader(value);
	double number;

	switch (objpool_read_type(&reader)) {
	case OBJPOOL_END:
	case OBJPOOL_NIL:
		(void)fputs(alone ? "\"\"" : "", out);
		break;
	case OBJPOOL_DOUBLE:
		(void)objpool_read_double(&reader, &number);
		put_double(out, number);
		break;
	case OBJPOOL_STR:
		put_string(csv, out, value);
		break;
	case OBJPOOL_BOOL:
	case OBJPOOL_INT:
		json_write(out, value);
		break;
	case OBJPOOL_BIN:
	case OBJPOOL_EXT:
	case OBJPOOL_ARRAY:
	case OBJPOOL_MAP:
		put_written(out, json_write, value);
		break;
	}
}

/* Records. */

static bool is_same(struct objpool_bytes a, struct objpool_bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* The column of that name; -1: there is none. Keys mostly come in the order of the columns: it looks at `next` first. */
static ssize_t find_column(const struct csv *csv, struct objpool_bytes key, size_t next)
{
	for (size_t i = 0; i < csv->count; i++) {
		const size_t at = (next + i) % csv->count;
		if (is_same(csv->columns[at], key))
			return (ssize_t)at;
	}
	return -1;
}

static int add_column(struct csv *csv, struct objpool_bytes key)
{
	if (csv->count == CSV_COLUMNS)
		return REFUSE(csv, "records have more than %d different keys", CSV_COLUMNS);
	struct objpool_bytes *columns = reallocarray(csv->columns, csv->count + 1, sizeof *columns);
	csv->columns = columns ? columns : csv->columns;
	struct objpool_bytes *cells = columns ? reallocarray(csv->cells, csv->count + 1, sizeof *cells) : NULL;
	csv->cells = cells ? cells : csv->cells;
	void *copy = cells ? malloc(key.size) : NULL;
	if (!copy)
		return REFUSE(csv, "out of memory");
	columns[csv->count++] = (struct objpool_bytes){memcpy(copy, key.data, key.size), key.size};
	return 0;
}

/* Passes over the keys and values of a map. For each: its column, or -1. */
static int read_pair(struct csv *csv, struct objpool_reader *reader, struct objpool_bytes *key, struct objpool_bytes *value,
		     size_t next, ssize_t *column)
{
	if (objpool_read_type(reader) != OBJPOOL_STR)
		return REFUSE(csv, "a record has a key that is no text");
	(void)objpool_read_value(reader, key);
	(void)objpool_read_value(reader, value);
	*column = find_column(csv, *key, next);
	return 0;
}

static int learn_record(struct csv *csv, struct objpool_reader reader)
{
	struct objpool_bytes key, value;
	uint32_t count = 0;
	ssize_t column;

	(void)objpool_read_map(&reader, &count);
	if (count == 0 && csv->count == 0)
		return REFUSE(csv, "the first record is an empty map");
	for (uint32_t i = 0; i < count; i++)
		if (read_pair(csv, &reader, &key, &value, i, &column) < 0 || (column < 0 && add_column(csv, key) < 0))
			return -1;
	return 0;
}

/* Puts the values of a map in the order of the columns. */
static int sort_record(struct csv *csv, struct objpool_reader reader)
{
	struct objpool_bytes key, value;
	uint32_t count = 0;
	ssize_t column;

	memset(csv->cells, 0, csv->count * sizeof *csv->cells);
	(void)objpool_read_map(&reader, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (read_pair(csv, &reader, &key, &value, i, &column) < 0)
			return -1;
		if (column < 0)
			return REFUSE(csv, "a record has a key that the first one lacks");
		csv->cells[column] = value;
	}
	return 0;
}

static void put_line(const struct csv *csv, FILE *out, const struct objpool_bytes *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)fputs(i > 0 ? "," : "", out);
		put_field(csv, out, fields[i], count == 1);
	}
	(void)fputc('\n', out);
}

static int write_record(struct csv *csv, FILE *out, struct objpool_reader reader)
{
	if (sort_record(csv, reader) < 0)
		return -1;
	if (!csv->headed)
		put_line(csv, out, csv->columns, csv->count);
	csv->headed = true;
	put_line(csv, out, csv->cells, csv->count);
	return 0;
}

/* Rows. */

/* Writes what lies along a dimension of the array. */
static void put_elements(FILE *out, const struct ndarray *array, uint32_t dimension, const unsigned char *at, const char *between)
{
	for (uint64_t i = 0; i < array->shape[dimension]; i++, at += array->steps[dimension] * array->item) {
		(void)fputs(i > 0 ? between : "", out);
		if (array->kind == 'f')
			put_double(out, ndarray_double(array, at));
		else
			ndarray_write_element(out, array, at);
	}
	(void)fputc('\n', out);
}

/* Reads an ARRAY. 1; 0: it is none; -1: it is one, but csv has no form for its elements. */
static int read_ndarray(struct csv *csv, struct objpool_reader reader, struct ndarray *array)
{
	const void *bytes;
	size_t size;
	int8_t type;

	if (objpool_read_ext(&reader, &type, &bytes, &size) < 0 || type != EXT_ARRAY || !ndarray_read(array, bytes, size))
		return 0;
	return array->kind ? 1 : REFUSE(csv, "the dtype of an array is none of numbers (npy has a form for it)");
}

/* How many fields the row has. -1: it is no row. */
static int64_t row_width(struct csv *csv, struct objpool_reader reader)
{
	struct ndarray array;
	uint32_t count;

	if (objpool_read_array(&reader, &count) == 0)
		return count;
	const int rc = read_ndarray(csv, reader, &array);
	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	if (array.dimensions > 1)
		return REFUSE(csv, "a row is an array of %u dimensions", array.dimensions);
	return array.dimensions == 0 ? 1 : array.shape[0] <= INT64_MAX ? (int64_t)array.shape[0] : -1;
}

static int learn_row(struct csv *csv, struct objpool_reader reader)
{
	const int64_t width = row_width(csv, reader);

	if (width < 0)
		return -1;
	if (width == 0)
		return REFUSE(csv, "a row has no fields");
	if (csv->width == 0)
		csv->width = (size_t)width;
	return csv->width == (size_t)width ? 0 : REFUSE(csv, "rows have %zu and %zu fields", csv->width, (size_t)width);
}

static void write_row(struct csv *csv, FILE *out, struct objpool_reader reader)
{
	struct ndarray array;
	struct objpool_bytes field = {NULL, 0};
	uint32_t count = 1;

	if (read_ndarray(csv, reader, &array) > 0 && array.dimensions == 1) {
		put_elements(out, &array, 0, array.elements, ",");
		return;
	}
	(void)objpool_read_array(&reader, &count);
	for (uint32_t i = 0; i < count; i++) {
		(void)fputs(i > 0 ? "," : "", out);
		(void)objpool_read_value(&reader, &field);
		put_field(csv, out, field, count == 1);
	}
	(void)fputc('\n', out);
}

/* Both. */

int csv_learn(struct csv *csv, struct objpool_bytes value)
{
	const struct objpool_reader reader = objpool_reader(value);
	const bool record = objpool_read_type(&reader) == OBJPOOL_MAP;

	if (csv->kind != CSV_EMPTY && record != (csv->kind == CSV_RECORDS))
		return REFUSE(csv, "there are maps, and others than maps");
	csv->kind = record ? CSV_RECORDS : CSV_ROWS;
	return record ? learn_record(csv, reader) : learn_row(csv, reader);
}

int csv_write(struct csv *csv, FILE *out, struct objpool_bytes value)
{
	const struct objpool_reader reader = objpool_reader(value);
	const bool record = objpool_read_type(&reader) == OBJPOOL_MAP;

	if ((!record || csv->kind != CSV_RECORDS) && csv_learn(csv, value) < 0)
		return -1;
	if (record)
		return write_record(csv, out, reader);
	write_row(csv, out, reader);
	return 0;
}

static int each_item(struct csv *csv, FILE *out, struct objpool_reader reader)
{
	struct objpool_bytes item = {NULL, 0};
	uint32_t count = 0;

	(void)objpool_read_array(&reader, &count);
	for (uint32_t i = 0; i < count; i++) {
		(void)objpool_read_value(&reader, &item);
		if ((out ? csv_write(csv, out, item) : csv_learn(csv, item)) < 0)
			return -1;
	}
	return 0;
}

static int write_ndarray(struct csv *csv, FILE *out, const struct ndarray *array)
{
	if (array->dimensions > 2)
		return REFUSE(csv, "the array has %u dimensions", array->dimensions);
	if (ndarray_is_empty(array))
		return 0;
	if (array->dimensions == 0)
		ndarray_write_element(out, array, array->elements);
	else if (array->dimensions == 1)
		put_elements(out, array, 0, array->elements, "\n");
	for (uint64_t i = 0; array->dimensions == 2 && i < array->shape[0]; i++)
		put_elements(out, array, 1, array->elements + i * array->steps[0] * array->item, ",");
	if (array->dimensions == 0)
		(void)fputc('\n', out);
	return 0;
}

int csv_write_all(struct csv *csv, FILE *out, struct objpool_bytes value)
{
	const struct objpool_reader reader = objpool_reader(value);
	struct ndarray array;
	const int rc = read_ndarray(csv, reader, &array);

	if (rc != 0)
		return rc < 0 ? -1 : write_ndarray(csv, out, &array);
	if (objpool_read_type(&reader) != OBJPOOL_ARRAY)
		return csv_write(csv, out, value);
	return each_item(csv, NULL, reader) < 0 ? -1 : each_item(csv, out, reader);
}

void csv_free(struct csv *csv)
{
	for (size_t i = 0; i < csv->count; i++)
		free((void *)(uintptr_t)csv->columns[i].data);
	free(csv->columns);
	free(csv->cells);
}
