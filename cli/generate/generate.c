/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate/generate.h"

#include "proto/json_float.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct generator *generate_find(const char *language)
{
	static const struct generator *const all[] = {&generate_python, &generate_ts,   &generate_go,
						      &generate_rust,   &generate_java, &generate_c};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i]->language, language) == 0)
			return all[i];
	return NULL;
}

int generate(const struct generator *generator, struct objpool_bytes description, FILE *out)
{
	struct model model;
	int r = model_read(&model, description);

	if (r == 0)
		r = model_name(&model, &generator->naming);
	if (r == 0)
		generator->write(&model, out);
	model_free(&model);
	return r;
}

/* What ends a comment gets a space in it. So does \\u, which Java reads as a character in comments, too, and the end of "??/",
 * which standard C reads as a backslash. */
static void put_comment_byte(FILE *out, char c, char before)
{
	if ((before == '*' && c == '/') || (before == '/' && c == '*') || (before == '\\' && c == 'u') ||
	    (before == '?' && c == '/'))
		fputc(' ', out);
	fputc((unsigned char)c < 0x20 && c != '\t' ? ' ' : c, out);
}

void code_text(FILE *out, model_text text)
{
	for (uint32_t i = 0; i < text.size; i++)
		put_comment_byte(out, text.ptr[i], i > 0 ? text.ptr[i - 1] : '\0');
}

/* How much of a prefix an empty line has: no spaces at its end. */
static int without_spaces(const char *prefix, bool empty)
{
	size_t n = strlen(prefix);

	while (empty && n > 0 && (prefix[n - 1] == ' ' || prefix[n - 1] == '\t'))
		n--;
	return (int)n;
}

void code_lines(FILE *out, model_text text, const char *prefix)
{
	uint32_t begin = 0;

	while (begin < text.size) {
		const char *line = text.ptr + begin, *end = memchr(line, '\n', text.size - begin);
		const uint32_t n = end ? (uint32_t)(end - line) : text.size - begin;
		fprintf(out, "%.*s", without_spaces(prefix, n == 0), prefix);
		code_text(out, (model_text){.ptr = line, .size = n});
		fputc('\n', out);
		begin += n + 1;
	}
}

void code_string(FILE *out, model_text text, bool octal)
{
	fputc('"', out);
	for (uint32_t i = 0; i < text.size; i++) {
		const unsigned char c = (unsigned char)text.ptr[i];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (octal && c == '?')) /* "??/" is a backslash in C */
			fprintf(out, octal ? "\\%03o" : "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* Writes what has been written to memory, and frees it. */
static void put_memory(FILE *out, FILE *memory, char *const *text, const size_t *size)
{
	if (memory && fclose(memory) == 0)
		code_text(out, (model_text){.ptr = *text, .size = (uint32_t)*size});
	free(*text);
}

void code_type(FILE *out, const struct type *type)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (memory)
		type_show(memory, type);
	put_memory(out, memory, &text, &size);
}

void code_value(FILE *out, const msgpack_object *value)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (memory)
		value_show(memory, value);
	put_memory(out, memory, &text, &size);
}

bool code_is_simple(const msgpack_object *value)
{
	switch (value->type) {
	case MSGPACK_OBJECT_NIL:
	case MSGPACK_OBJECT_BOOLEAN:
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
	case MSGPACK_OBJECT_STR:
	case MSGPACK_OBJECT_BIN:
		return true;
	case MSGPACK_OBJECT_ARRAY:
	case MSGPACK_OBJECT_MAP:
	case MSGPACK_OBJECT_EXT:
		break;
	}
	return false;
}

static bool same_text(const msgpack_object *a, const msgpack_object *b)
{
	return a->via.str.size == b->via.str.size && memcmp(a->via.str.ptr, b->via.str.ptr, a->via.str.size) == 0;
}

/* Is the key of that pair a text that no key before it is? */
static bool is_new_key(const msgpack_object_map *map, uint32_t i)
{
	if (map->ptr[i].key.type != MSGPACK_OBJECT_STR)
		return false;
	for (uint32_t k = 0; k < i; k++)
		if (same_text(&map->ptr[k].key, &map->ptr[i].key))
			return false;
	return true;
}

static bool is_integer(const struct literals *literals, const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? value->via.u64 <= literals->most
							      : value->via.i64 >= literals->least;
}

bool code_has_literal(const struct literals *literals, const msgpack_object *value)
{
	bool has = true;

	switch (value->type) {
	case MSGPACK_OBJECT_NIL:
	case MSGPACK_OBJECT_BOOLEAN:
	case MSGPACK_OBJECT_STR:
	case MSGPACK_OBJECT_BIN:
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return literals->big[0] || is_integer(literals, value);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return isfinite(value->via.f64);
	case MSGPACK_OBJECT_ARRAY:
		for (uint32_t i = 0; has && i < value->via.array.size; i++)
			has = code_has_literal(literals, &value->via.array.ptr[i]);
		break;
	case MSGPACK_OBJECT_MAP:
		for (uint32_t i = 0; has && i < value->via.map.size; i++)
			has = is_new_key(&value->via.map, i) && code_has_literal(literals, &value->via.map.ptr[i].val);
		break;
	case MSGPACK_OBJECT_EXT:
		has = false;
	}
	return has;
}

static void put_integer(FILE *out, const struct literals *literals, const msgpack_object *value)
{
	const char *const *around = is_integer(literals, value) ? literals->integer : literals->big;

	fputs(around[0], out);
	if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		fprintf(out, "%" PRIu64, value->via.u64);
	else
		fprintf(out, "%" PRId64, value->via.i64);
	fputs(around[1], out);
}

static void put_bytes(FILE *out, const struct literals *literals, const msgpack_object_bin *bytes)
{
	fputs(literals->bytes[0], out);
	for (uint32_t i = 0; i < bytes->size; i++)
		fprintf(out, "%s%s%u", i > 0 ? ", " : "", literals->byte, (unsigned char)bytes->ptr[i]);
	fputs(literals->bytes[1], out);
}

static void put_array(FILE *out, const struct literals *literals, const msgpack_object_array *array)
{
	fputs(literals->array[0], out);
	for (uint32_t i = 0; i < array->size; i++) {
		fputs(i > 0 ? ", " : "", out);
		code_literal(out, literals, &array->ptr[i]);
	}
	fputs(literals->array[1], out);
}

static void put_map(FILE *out, const struct literals *literals, const msgpack_object_map *map)
{
	fputs(literals->map[0], out);
	for (uint32_t i = 0; i < map->size; i++) {
		fprintf(out, "%s%s", i > 0 ? ", " : "", literals->pair[0]);
		code_string(out, map->ptr[i].key.via.str, literals->octal);
		fputs(literals->pair[1], out);
		code_literal(out, literals, &map->ptr[i].val);
		fputs(literals->pair[2], out);
	}
	fputs(literals->map[1], out);
}

void code_literal(FILE *out, const struct literals *literals, const msgpack_object *value)
{
	char number[JSON_FLOAT];

	switch (value->type) {
	case MSGPACK_OBJECT_NIL:
		fputs(literals->nil, out);
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		fputs(value->via.boolean ? literals->yes : literals->no, out);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		put_integer(out, literals, value);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		fprintf(out, "%s%s%s", literals->real[0], json_float(number, value->via.f64), literals->real[1]);
		break;
	case MSGPACK_OBJECT_STR:
		fputs(literals->text[0], out);
		code_string(out, value->via.str, literals->octal);
		fputs(literals->text[1], out);
		break;
	case MSGPACK_OBJECT_BIN:
		put_bytes(out, literals, &value->via.bin);
		break;
	case MSGPACK_OBJECT_ARRAY:
		put_array(out, literals, &value->via.array);
		break;
	case MSGPACK_OBJECT_MAP:
		put_map(out, literals, &value->via.map);
		break;
	case MSGPACK_OBJECT_EXT: /* has none */
		break;
	}
}
