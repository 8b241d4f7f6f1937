/* SPDX-License-Identifier: Apache-2.0 */
/* json_write: straight from msgpack bytes to text, without objects between: a map's results are many. */
#include "cli/base64.h"
#include "cli/json.h"
#include "cli/ndarray.h"
#include "proto/escape.h"
#include "proto/json_float.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_WRITE_LEVELS = 64 }; /* a value may have 32 levels; an answer of the daemon's own adds some */

struct style {
	unsigned levels; /* how many levels of containers may still be opened */
	bool shown;      /* arrays and objects are written for people: json_show */
};

static void put(FILE *out, const char *text)
{
	(void)fputs_unlocked(text, out);
}

static void write_escape(FILE *out, uint32_t character)
{
	static const char letters[] = "b\bf\fn\nr\rt\t\"\"\\\\";

	for (const char *l = letters; *l; l += 2)
		if ((unsigned char)l[1] == character) {
			(void)putc_unlocked('\\', out);
			(void)putc_unlocked(l[0], out);
			return;
		}
	if (character > 0xffff) /* JSON has these as a pair of surrogates */
		(void)fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (character >> 10), 0xdc00 + (character & 0x3ff));
	else
		(void)fprintf(out, "\\u%04x", character);
}

/* The length of the character at `text` if it must be escaped, else 0. Beyond what JSON demands, these are the characters that
 * could act on the reader's terminal (proto/escape.h). */
static size_t special(const char *text, size_t size, uint32_t *character)
{
	*character = (unsigned char)*text;
	if (*character < 0x80)
		return *character < 0x20 || *character == '"' || *character == '\\' || *character == 0x7f;
	const size_t n = escape_decode(text, size, character);
	return n > 0 && escape_is_hidden(*character) ? n : 0;
}

static void write_text(FILE *out, const char *text, size_t size)
{
	size_t begin = 0, i = 0;
	uint32_t character;

	(void)putc_unlocked('"', out);
	while (i < size) {
		const size_t n = special(text + i, size - i, &character);
		if (n == 0) {
			i++;
			continue;
		}
		(void)fwrite_unlocked(text + begin, 1, i - begin, out);
		write_escape(out, character);
		begin = i += n;
	}
	(void)fwrite_unlocked(text + begin, 1, size - begin, out);
	(void)putc_unlocked('"', out);
}

static void write_base64(FILE *out, const void *bytes, size_t size)
{
	(void)putc_unlocked('"', out);
	base64_write(out, bytes, size);
	(void)putc_unlocked('"', out);
}

static void write_str(FILE *out, struct objpool_reader *reader)
{
	const char *text = "";
	size_t size = 0;

	(void)objpool_read_str(reader, &text, &size);
	if (escape_is_utf8(text, size)) {
		write_text(out, text, size);
		return;
	}
	put(out, "{\"$str\": ");
	write_base64(out, text, size);
	put(out, "}");
}

static void write_int(FILE *out, struct objpool_reader *reader)
{
	int64_t number;
	uint64_t large = 0;
	char text[24], *p = text + sizeof text;
	const bool fits = objpool_read_int(reader, &number) == 0;

	if (!fits)
		(void)objpool_read_uint(reader, &large);
	uint64_t rest = !fits ? large : number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	do
		*--p = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (fits && number < 0)
		*--p = '-';
	(void)fwrite_unlocked(p, 1, (size_t)(text + sizeof text - p), out);
}

static void write_double(FILE *out, struct objpool_reader *reader)
{
	char text[JSON_FLOAT];
	double number = 0;

	(void)objpool_read_double(reader, &number);
	put(out, json_float(text, number));
}

static bool show_ext(FILE *out, int8_t type, const void *bytes, size_t size)
{
	return (type == EXT_ARRAY && ndarray_write(out, bytes, size)) ||
	       (type == EXT_OBJECT && ndarray_write_object(out, bytes, size));
}

static void write_ext(FILE *out, struct objpool_reader *reader, struct style style)
{
	const void *bytes = NULL;
	size_t size = 0;
	int8_t type = 0;

	(void)objpool_read_ext(reader, &type, &bytes, &size);
	if (style.shown && show_ext(out, type, bytes, size))
		return;
	(void)fprintf(out, "{\"$ext\": [%d, ", type);
	write_base64(out, bytes, size);
	put(out, "]}");
}

static void write_bin(FILE *out, struct objpool_reader *reader)
{
	const void *bytes = NULL;
	size_t size = 0;

	(void)objpool_read_bin(reader, &bytes, &size);
	put(out, "{\"$bin\": ");
	write_base64(out, bytes, size);
	put(out, "}");
}

/* Values deeper than JSON_WRITE_LEVELS are written as packed bytes: to recurse further could overflow the stack. */
static void write_deep(FILE *out, struct objpool_reader *reader)
{
	struct objpool_bytes value = {NULL, 0};

	(void)objpool_read_value(reader, &value);
	put(out, "{\"$msgpack\": ");
	write_base64(out, value.data, value.size);
	put(out, "}");
}

static void write_value(FILE *out, struct objpool_reader *reader, struct style style);

static void write_array(FILE *out, struct objpool_reader *reader, struct style style)
{
	uint32_t count = 0;

	(void)objpool_read_array(reader, &count);
	put(out, "[");
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			put(out, ", ");
		write_value(out, reader, style);
	}
	put(out, "]");
}

/* All keys are proper strings, and what comes of it is not taken for one of the forms above. */
bool json_map_is_plain(struct objpool_reader reader, uint32_t count)
{
	const char *key;
	size_t size;

	for (uint32_t i = 0; i < count; i++) {
		if (objpool_read_str(&reader, &key, &size) < 0 || !escape_is_utf8(key, size))
			return false;
		if (count == 1 && size > 0 && key[0] == '$')
			return false;
		(void)objpool_read_value(&reader, NULL);
	}
	return true;
}

static void write_map(FILE *out, struct objpool_reader *reader, struct style style)
{
	uint32_t count = 0;

	(void)objpool_read_map(reader, &count);
	const bool plain = json_map_is_plain(*reader, count);
	put(out, plain ? "{" : "{\"$map\": [");
	for (uint32_t i = 0; i < count; i++) {
		put(out, i > 0 ? ", " : "");
		put(out, plain ? "" : "[");
		write_value(out, reader, style);
		put(out, plain ? ": " : ", ");
		write_value(out, reader, style);
		put(out, plain ? "" : "]");
	}
	put(out, plain ? "}" : "]}");
}

static void write_container(FILE *out, struct objpool_reader *reader, bool map, struct style style)
{
	if (style.levels-- == 0)
		write_deep(out, reader);
	else
		(map ? write_map : write_array)(out, reader, style);
}

static void write_value(FILE *out, struct objpool_reader *reader, struct style style)
{
	bool flag = false;

	switch (objpool_read_type(reader)) {
	case OBJPOOL_END:
		break;
	case OBJPOOL_NIL:
		(void)objpool_read_nil(reader);
		put(out, "null");
		break;
	case OBJPOOL_BOOL:
		(void)objpool_read_bool(reader, &flag);
		put(out, flag ? "true" : "false");
		break;
	case OBJPOOL_INT:
		write_int(out, reader);
		break;
	case OBJPOOL_DOUBLE:
		write_double(out, reader);
		break;
	case OBJPOOL_STR:
		write_str(out, reader);
		break;
	case OBJPOOL_BIN:
		write_bin(out, reader);
		break;
	case OBJPOOL_EXT:
		write_ext(out, reader, style);
		break;
	case OBJPOOL_ARRAY:
		write_container(out, reader, false, style);
		break;
	case OBJPOOL_MAP:
		write_container(out, reader, true, style);
		break;
	}
}

void json_write(FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);

	write_value(out, &reader, (struct style){.levels = JSON_WRITE_LEVELS});
}

void json_show(FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);

	write_value(out, &reader, (struct style){.levels = JSON_WRITE_LEVELS, .shown = true});
}

static void write_member(FILE *out, const char *key, const char *text)
{
	if (!text)
		return;
	(void)fprintf(out, ", \"%s\": ", key);
	write_text(out, text, strlen(text));
}

static void write_number(FILE *out, const char *key, int64_t number, int64_t none)
{
	if (number != none)
		(void)fprintf(out, ", \"%s\": %" PRId64, key, number);
}

void json_write_error(FILE *out, const struct objpool_error *error)
{
	static const char *const ran[] = {NULL, "no", "maybe", "yes"};

	(void)fprintf(out, "{\"code\": \"%s\"", error->code);
	write_member(out, "message", error->message);
	write_member(out, "type", error->type);
	write_member(out, "traceback", error->traceback);
	write_member(out, "pool", error->pool);
	write_member(out, "host", error->host);
	write_member(out, "user", error->user);
	write_member(out, "right", error->right);
	write_number(out, "slot", error->slot, -1);
	write_number(out, "generation", error->generation, -1);
	write_number(out, "index", error->index, -1);
	write_member(out, "ran", ran[error->ran]);
	write_number(out, "signal", error->signal, 0);
	write_number(out, "exit_status", error->exit_status, -1);
	write_number(out, "retry_after_ms", error->retry_after_ms, 0);
	if (error->data.data) {
		put(out, ", \"data\": ");
		json_write(out, error->data);
	}
	put(out, "}");
}
