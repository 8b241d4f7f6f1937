/* SPDX-License-Identifier: Apache-2.0 */
/* Types and values of a model as text, in the language of signatures. */
#include "cli/generate/model.h"

#include "proto/json_float.h"

#include <inttypes.h>
#include <string.h>

void text_put(FILE *out, model_text text)
{
	(void)fwrite(text.ptr, 1, text.size, out);
}

bool text_is(model_text text, const char *other)
{
	return text.size == strlen(other) && memcmp(text.ptr, other, text.size) == 0;
}

/* ---- types ---- */

static void show_parts(FILE *out, const struct type *type, const char *between)
{
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i > 0 ? between : "", out);
		type_show(out, &type->parts[i]);
	}
}

static void show_ndarray(FILE *out, const struct type *type)
{
	const bool has_dtype = type->dtype.type == MSGPACK_OBJECT_STR;
	const bool has_dimensions = type->dimensions.type == MSGPACK_OBJECT_POSITIVE_INTEGER;

	fputs("ndarray", out);
	if (!has_dtype && !has_dimensions)
		return;
	fputc('[', out);
	if (has_dtype)
		text_put(out, type->dtype.via.str);
	else
		fputs("any", out);
	if (has_dimensions)
		fprintf(out, ", %" PRIu64, type->dimensions.via.u64);
	fputc(']', out);
}

static void show_int(FILE *out, const struct type *type)
{
	fputs("int", out);
	if (!type->has_limits)
		return;
	fputc('[', out);
	value_show(out, &type->low);
	fputs(", ", out);
	value_show(out, &type->high);
	fputc(']', out);
}

static void show_brackets(FILE *out, const char *name, const struct type *type, const char *end)
{
	fprintf(out, "%s[", name);
	show_parts(out, type, ", ");
	fputs(end, out);
}

void type_show(FILE *out, const struct type *type)
{
	static const char *const words[] = {
		[TYPE_ANY] = "any", [TYPE_NONE] = "None",   [TYPE_BOOL] = "bool",          [TYPE_FLOAT] = "float",
		[TYPE_STR] = "str", [TYPE_BYTES] = "bytes", [TYPE_TIMESTAMP] = "timestamp"};

	switch (type->kind) {
	case TYPE_ANY:
	case TYPE_NONE:
	case TYPE_BOOL:
	case TYPE_FLOAT:
	case TYPE_STR:
	case TYPE_BYTES:
	case TYPE_TIMESTAMP:
		fputs(words[type->kind], out);
		break;
	case TYPE_INT:
		show_int(out, type);
		break;
	case TYPE_NDARRAY:
		show_ndarray(out, type);
		break;
	case TYPE_LIST:
		show_brackets(out, "list", type, "]");
		break;
	case TYPE_DICT:
		show_brackets(out, "dict", type, "]");
		break;
	case TYPE_TUPLE:
		show_brackets(out, "tuple", type, "]");
		break;
	case TYPE_REST:
		show_brackets(out, "tuple", type, ", ...]");
		break;
	case TYPE_ITERATOR:
		show_brackets(out, "Iterator", type, "]");
		break;
	case TYPE_UNION:
		show_parts(out, type, " | ");
		break;
	case TYPE_RECORD:
		text_put(out, type->record->name);
	}
}

/* ---- values ---- */

static void show_quoted(FILE *out, const char *text, uint32_t size, bool bytes)
{
	fputc('"', out);
	for (uint32_t i = 0; i < size; i++) {
		const unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (bytes && c > 0x7f))
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void show_array(FILE *out, const msgpack_object_array *array)
{
	fputc('[', out);
	for (uint32_t i = 0; i < array->size; i++) {
		fputs(i > 0 ? ", " : "", out);
		value_show(out, &array->ptr[i]);
	}
	fputc(']', out);
}

static void show_map(FILE *out, const msgpack_object_map *map)
{
	fputc('{', out);
	for (uint32_t i = 0; i < map->size; i++) {
		fputs(i > 0 ? ", " : "", out);
		value_show(out, &map->ptr[i].key);
		fputs(": ", out);
		value_show(out, &map->ptr[i].val);
	}
	fputc('}', out);
}

void value_show(FILE *out, const msgpack_object *value)
{
	char number[JSON_FLOAT];

	switch (value->type) {
	case MSGPACK_OBJECT_NIL:
		fputs("None", out);
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		fputs(value->via.boolean ? "True" : "False", out);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		fprintf(out, "%" PRIu64, value->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		fprintf(out, "%" PRId64, value->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		fputs(json_float(number, value->via.f64), out);
		break;
	case MSGPACK_OBJECT_STR:
		show_quoted(out, value->via.str.ptr, value->via.str.size, false);
		break;
	case MSGPACK_OBJECT_BIN:
		fputc('b', out);
		show_quoted(out, value->via.bin.ptr, value->via.bin.size, true);
		break;
	case MSGPACK_OBJECT_ARRAY:
		show_array(out, &value->via.array);
		break;
	case MSGPACK_OBJECT_MAP:
		show_map(out, &value->via.map);
		break;
	case MSGPACK_OBJECT_EXT:
		fputs("...", out);
	}
}
