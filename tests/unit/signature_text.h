/* SPDX-License-Identifier: Apache-2.0 */
/* signature_text: writes a parsed signature as text again, from the objects that clients get. */
#ifndef TESTS_SIGNATURE_TEXT_H
#define TESTS_SIGNATURE_TEXT_H

#include "daemon/worker/types/signature.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static inline void text_of_type(FILE *out, const msgpack_object *type);

static inline void text_of_bytes(FILE *out, const char *bytes, uint32_t size)
{
	fputc('"', out);
	for (uint32_t i = 0; i < size; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(out, "\\%c", bytes[i]);
		else if ((uint8_t)bytes[i] < 0x20)
			fprintf(out, "\\x%02x", bytes[i]);
		else
			fputc(bytes[i], out);
	}
	fputc('"', out);
}

static inline void text_of_value(FILE *out, const msgpack_object *value)
{
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
		fprintf(out, "%.17e", value->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		text_of_bytes(out, value->via.str.ptr, value->via.str.size);
		break;
	case MSGPACK_OBJECT_BIN:
		fputc('b', out);
		text_of_bytes(out, value->via.bin.ptr, value->via.bin.size);
		break;
	case MSGPACK_OBJECT_ARRAY:
		fputc('[', out);
		for (uint32_t i = 0; i < value->via.array.size; i++) {
			text_of_value(out, &value->via.array.ptr[i]);
			fputc(',', out);
		}
		fputc(']', out);
		break;
	case MSGPACK_OBJECT_MAP:
		fputc('{', out);
		for (uint32_t i = 0; i < value->via.map.size; i++) {
			text_of_value(out, &value->via.map.ptr[i].key);
			fputc(':', out);
			text_of_value(out, &value->via.map.ptr[i].val);
			fputc(',', out);
		}
		fputc('}', out);
		break;
	case MSGPACK_OBJECT_EXT:
		fputs("ext", out);
	}
}

static inline void text_of_word(FILE *out, msgpack_object_str word)
{
	fwrite(word.ptr, 1, word.size, out);
}

static inline void text_of_types(FILE *out, const msgpack_object *types, const char *between)
{
	for (uint32_t i = 0; i < types->via.array.size; i++) {
		fputs(i > 0 ? between : "", out);
		text_of_type(out, &types->via.array.ptr[i]);
	}
}

static inline void text_of_ndarray(FILE *out, const msgpack_object *inner)
{
	fputs("ndarray", out);
	if (inner[0].type == MSGPACK_OBJECT_NIL && inner[1].type == MSGPACK_OBJECT_NIL)
		return;
	fputc('[', out);
	if (inner[0].type == MSGPACK_OBJECT_NIL)
		fputs("any", out);
	else
		text_of_word(out, inner[0].via.str);
	if (inner[1].type != MSGPACK_OBJECT_NIL)
		fprintf(out, ", %" PRIu64, inner[1].via.u64);
	fputc(']', out);
}

static inline void text_of_type(FILE *out, const msgpack_object *type)
{
	if (type->type == MSGPACK_OBJECT_STR) {
		text_of_word(out, type->via.str);
		return;
	}
	const msgpack_object_str key = type->via.map.ptr[0].key.via.str;
	const msgpack_object *inner = &type->via.map.ptr[0].val;
	if (type_text_is(key, "record")) {
		text_of_word(out, inner->via.str);
	} else if (type_text_is(key, "union")) {
		text_of_types(out, inner, " | ");
	} else if (type_text_is(key, "ndarray")) {
		text_of_ndarray(out, inner->via.array.ptr);
	} else if (type_text_is(key, "int")) {
		fputs("int[", out);
		text_of_value(out, &inner->via.array.ptr[0]);
		fputs(", ", out);
		text_of_value(out, &inner->via.array.ptr[1]);
		fputs("]", out);
	} else {
		if (type_text_is(key, "iterator"))
			fputs("Iterator", out);
		else
			text_of_word(out, key);
		fputc('[', out);
		if (inner->type == MSGPACK_OBJECT_ARRAY)
			text_of_types(out, inner, ", ");
		else
			text_of_type(out, inner);
		fputs(type->via.map.size == 2 ? ", ...]" : "]", out);
	}
}

static inline void text_of_parameter(FILE *out, const struct parameter *parameter)
{
	fputs(parameter->kind == PARAMETER_REST ? "*" : parameter->kind == PARAMETER_KEYWORDS ? "**" : "", out);
	text_of_word(out, parameter->name);
	fputs(": ", out);
	text_of_type(out, &parameter->type);
	if (parameter->optional)
		fputs(" = ", out);
	if (parameter->shown)
		text_of_value(out, &parameter->value);
	else if (parameter->optional)
		fputs("...", out);
}

/* Writes "/" and "*" where the kinds change. */
static inline void text_of_parameters(FILE *out, const struct signature *signature)
{
	bool star = false;

	fputc('(', out);
	for (uint32_t i = 0; i < signature->count; i++) {
		const struct parameter *parameter = &signature->parameters[i];
		const bool next = i + 1 < signature->count;
		fputs(i > 0 ? ", " : "", out);
		if (parameter->kind == PARAMETER_KEYWORD && !star)
			fputs("*, ", out);
		star = star || parameter->kind == PARAMETER_REST || parameter->kind == PARAMETER_KEYWORD;
		text_of_parameter(out, parameter);
		if (parameter->kind == PARAMETER_POSITIONAL && (!next || parameter[1].kind != PARAMETER_POSITIONAL))
			fputs(", /", out);
	}
	fputc(')', out);
}

/* The caller frees it. */
static inline char *signature_text(const struct signature *signature)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	text_of_parameters(out, signature);
	fputs(" -> ", out);
	text_of_type(out, &signature->returns);
	(void)fclose(out);
	return text;
}

#endif
