/* SPDX-License-Identifier: Apache-2.0 */
/* json_pretty: breaks into lines what is too long for one. What stands on one line is written by json_show. */
#include "cli/json.h"
#include "cli/ndarray.h"

#include <stdlib.h>
#include <string.h>

enum {
	PRETTY_WIDTH = 80,
	PRETTY_TAB = 8,
	PRETTY_LEVELS = 64,
	PRETTY_PACKED = 9 * PRETTY_WIDTH, /* a number of 9 bytes may be a single digit: what is packed larger fits on no line */
};

/* Writes the value on one line if there is room behind `used` columns. False, and nothing is written: there is not. */
static bool write_on_line(FILE *out, struct objpool_bytes value, size_t used)
{
	char *text = NULL;
	size_t size = 0;
	FILE *line = value.size <= PRETTY_PACKED ? open_memstream(&text, &size) : NULL;

	if (!line)
		return false;
	json_show(line, value);
	const bool fits = fclose(line) == 0 && used + size <= PRETTY_WIDTH;
	if (fits)
		(void)fwrite(text, 1, size, out);
	free(text);
	return fits;
}

static void begin_line(FILE *out, unsigned level)
{
	(void)fputc('\n', out);
	while (level-- > 0)
		(void)fputc('\t', out);
}

static void write_value(FILE *out, struct objpool_bytes value, unsigned level, size_t used);

/* The items of an array, or the keys and values of a map. */
static void write_items(FILE *out, struct objpool_reader *reader, uint32_t count, bool map, unsigned level)
{
	struct objpool_bytes key, value;

	(void)fputc(map ? '{' : '[', out);
	for (uint32_t i = 0; i < count; i++) {
		size_t used = (level + 1) * PRETTY_TAB + 1; /* with the comma */
		(void)fputs(i > 0 ? "," : "", out);
		begin_line(out, level + 1);
		if (map && objpool_read_value(reader, &key) == 0) {
			json_show(out, key);
			(void)fputs(": ", out);
			used += key.size + 2;
		}
		if (objpool_read_value(reader, &value) == 0)
			write_value(out, value, level + 1, used);
	}
	begin_line(out, level);
	(void)fputc(map ? '}' : ']', out);
}

static bool write_ext(FILE *out, struct objpool_reader reader, unsigned level)
{
	const void *bytes;
	size_t size;
	int8_t type;

	return objpool_read_ext(&reader, &type, &bytes, &size) == 0 && type == EXT_ARRAY &&
	       ndarray_write_pretty(out, bytes, size, level);
}

static void write_value(FILE *out, struct objpool_bytes value, unsigned level, size_t used)
{
	struct objpool_reader reader = objpool_reader(value);
	const enum objpool_type type = objpool_read_type(&reader);
	uint32_t count = 0;

	if (write_on_line(out, value, used) || (type == OBJPOOL_EXT && write_ext(out, reader, level)))
		return;
	if (level < PRETTY_LEVELS && type == OBJPOOL_ARRAY && objpool_read_array(&reader, &count) == 0 && count > 0)
		write_items(out, &reader, count, false, level);
	else if (level < PRETTY_LEVELS && type == OBJPOOL_MAP && objpool_read_map(&reader, &count) == 0 &&
		 json_map_is_plain(reader, count))
		write_items(out, &reader, count, true, level);
	else
		json_show(out, value);
}

void json_show_pretty(FILE *out, struct objpool_bytes value)
{
	write_value(out, value, 0, 0);
}
