/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate/generate.h"

#include <errno.h>
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
