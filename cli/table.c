/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "cli/fields.h"

#include <stdlib.h>
#include <string.h>

/* Adds a cell, which owns the text from now on. */
static void add_cell(struct table *table, char *text)
{
	if (table->count == table->capacity) {
		const size_t capacity = table->capacity ? 2 * table->capacity : 64;
		char **cells = reallocarray(table->cells, capacity, sizeof *cells);
		if (cells) {
			table->cells = cells;
			table->capacity = capacity;
		}
	}
	if (!text || table->count == table->capacity) {
		table->failed = true;
		free(text);
		return;
	}
	table->cells[table->count++] = text;
}

void table_begin(struct table *table, const struct column *columns)
{
	*table = (struct table){.columns = columns};
	for (; columns->title; columns++)
		add_cell(table, strdup(columns->title));
}

static char *show(struct objpool_bytes value)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	field_show(out, value);
	return fclose(out) == 0 ? text : NULL;
}

/* Of two keys, "a/b", both values. Empty: the map has not the first. */
static char *show_two(struct objpool_bytes map, const char *keys, const char *slash)
{
	char first[32], *one, *other, *both = NULL;

	(void)snprintf(first, sizeof first, "%.*s", (int)(slash - keys), keys);
	const struct objpool_bytes value = field(map, first);
	if (!value.data)
		return show(value);
	one = show(value);
	other = show(field(map, slash + 1));
	if (!one || !other || asprintf(&both, "%s/%s", one, other) < 0)
		both = NULL;
	free(one);
	free(other);
	return both;
}

void table_add_two(struct table *table, struct objpool_bytes map, struct objpool_bytes other)
{
	for (const struct column *column = table->columns; column->title; column++) {
		const char *slash = strchr(column->key, '/');
		if (slash) {
			add_cell(table, show_two(map, column->key, slash));
			continue;
		}
		const struct objpool_bytes value = field(map, column->key);
		add_cell(table, show(value.data ? value : field(other, column->key)));
	}
}

void table_add(void *context, struct objpool_bytes map)
{
	table_add_two(context, map, (struct objpool_bytes){0});
}

/* Counts characters: of the bytes of a character in UTF-8 only the first counts. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static int column_width(const struct table *table, size_t column, size_t columns)
{
	int width = 0;

	for (size_t i = column; i < table->count; i += columns) {
		const int w = width_of(table->cells[i]);
		width = w > width ? w : width;
	}
	return width;
}

/* Pads each column but the last. */
static void print_cell(FILE *out, const char *text, int width, bool right, bool last)
{
	const int blanks = width - width_of(text);

	if (right)
		fprintf(out, "%*s%s", blanks, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : blanks, "");
	fputs(last ? "\n" : "  ", out);
}

void table_end(struct table *table, FILE *out, const char *indent)
{
	size_t columns = 0;

	while (table->columns[columns].title)
		columns++;
	for (size_t i = 0; i + columns <= table->count; i += columns) {
		fputs(indent, out);
		for (size_t c = 0; c < columns; c++)
			print_cell(out, table->cells[i + c], column_width(table, c, columns), table->columns[c].right,
				   c + 1 == columns);
	}
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}
