/* SPDX-License-Identifier: Apache-2.0 */
#include "json/to_json.h"

#include "proto/base64.h"
#include "proto/escape.h"
#include "proto/json_float.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- text ---- */

static void flush(struct to_json *json)
{
	if (json->have > 0 && evbuffer_add(json->out, json->room, json->have) < 0)
		json->failed = true;
	json->written += json->have;
	json->have = 0;
}

static void put_bytes(struct to_json *json, const void *bytes, size_t size)
{
	if (size > sizeof json->room - json->have)
		flush(json);
	if (size <= sizeof json->room) {
		memcpy(json->room + json->have, bytes, size);
		json->have += size;
		return;
	}
	if (evbuffer_add(json->out, bytes, size) < 0)
		json->failed = true;
	json->written += size;
}

static void put(struct to_json *json, const char *text)
{
	put_bytes(json, text, strlen(text));
}

/* ---- strings and bytes ---- */

static bool is_utf8(struct span text)
{
	return escape_is_utf8((const char *)text.bytes, text.size);
}

static void put_escape(struct to_json *json, uint8_t c)
{
	static const char letters[] = "b\bf\fn\nr\rt\t\"\"\\\\";
	char text[8];

	for (const char *l = letters; *l; l += 2)
		if ((uint8_t)l[1] == c) {
			put_bytes(json, (const char[]){'\\', *l}, 2);
			return;
		}
	snprintf(text, sizeof text, "\\u%04x", c);
	put(json, text);
}

static void put_text(struct to_json *json, struct span text)
{
	size_t begin = 0;

	put(json, "\"");
	for (size_t i = 0; i < text.size; i++) {
		const uint8_t c = text.bytes[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		put_bytes(json, text.bytes + begin, i - begin);
		put_escape(json, c);
		begin = i + 1;
	}
	put_bytes(json, text.bytes + begin, text.size - begin);
	put(json, "\"");
}

static void put_base64(struct to_json *json, struct span bytes)
{
	char four[4];

	put(json, "\"");
	for (size_t i = 0; i < bytes.size; i += 3) {
		base64_encode(four, bytes.bytes + i, bytes.size - i < 3 ? bytes.size - i : 3);
		put_bytes(json, four, sizeof four);
	}
	put(json, "\"");
}

static void put_special(struct to_json *json, const char *key, struct span bytes)
{
	put(json, "{\"");
	put(json, key);
	put(json, "\": ");
	put_base64(json, bytes);
	put(json, "}");
}

static void put_str(struct to_json *json, struct span text)
{
	if (is_utf8(text))
		put_text(json, text);
	else
		put_special(json, "$str", text);
}

static void put_ext(struct to_json *json, int8_t type, struct span bytes)
{
	char text[32];

	snprintf(text, sizeof text, "{\"$ext\": [%d, ", type);
	put(json, text);
	put_base64(json, bytes);
	put(json, "]}");
}

/* ---- numbers ---- */

static void put_uint(struct to_json *json, uint64_t number, bool negative)
{
	char text[24];

	snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", (unsigned long long)number);
	put(json, text);
}

static void put_double(struct to_json *json, double number)
{
	char text[JSON_FLOAT];

	put(json, json_float(text, number));
}

/* ---- values ---- */

/* An ext of 1, 2, 4, 8 or 16 bytes has no length in its header. */
static int read_any_ext(struct reader *reader, int8_t *type, struct span *bytes)
{
	const uint8_t *p = reader->p;
	struct span whole;

	if (p >= reader->end || *p < BYTE_FIXEXT1 || *p > BYTE_FIXEXT16)
		return read_ext(reader, type, bytes);
	if (read_value(reader, &whole) < 0)
		return -EINVAL;
	*type = (int8_t)p[1];
	*bytes = (struct span){.bytes = p + 2, .size = whole.size - 2};
	return 0;
}

/* A value without others in it. False: it is an array or a map. */
static bool put_scalar(struct to_json *json)
{
	struct reader *reader = &json->reader;
	uint64_t large;
	int64_t number;
	double real;
	struct span text;
	int8_t type;
	bool flag;

	if (read_nil(reader) == 0)
		put(json, "null");
	else if (read_bool(reader, &flag) == 0)
		put(json, flag ? "true" : "false");
	else if (read_int(reader, &number) == 0)
		put_uint(json, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
	else if (read_uint(reader, &large) == 0)
		put_uint(json, large, false);
	else if (read_number(reader, &real) == 0)
		put_double(json, real);
	else if (read_str(reader, &text) == 0)
		put_str(json, text);
	else if (read_bytes(reader, &text) == 0)
		put_special(json, "$bin", text);
	else if (read_any_ext(reader, &type, &text) == 0)
		put_ext(json, type, text);
	else
		return false;
	return true;
}

/* Are all keys proper strings, and is what comes of it not taken for one of the forms that begin with $? */
static bool is_plain(struct reader reader, uint32_t count)
{
	struct span key, value;

	for (uint32_t i = 0; i < count; i++)
		if (read_str(&reader, &key) < 0 || (i == 0 && key.size > 0 && key.bytes[0] == '$') || !is_utf8(key) ||
		    read_value(&reader, &value) < 0)
			return false;
	return true;
}

/* What the next value is preceded by, in the array or map that is open. */
static void put_separator(struct to_json *json)
{
	const struct to_json_level *level = json->depth > 0 ? &json->levels[json->depth - 1] : NULL;

	if (!level)
		return;
	if (level->kind == JSON_MAP && level->left % 2 == 1)
		put(json, ": ");
	else if (level->begun)
		put(json, ", ");
	if (level->kind == JSON_PAIRS && level->left % 2 == 0)
		put(json, "[");
}

static void note_written(struct to_json *json)
{
	if (json->depth == 0) {
		json->done = true;
		return;
	}
	struct to_json_level *level = &json->levels[json->depth - 1];
	level->begun = true;
	level->left--;
	if (level->kind == JSON_PAIRS && level->left % 2 == 0)
		put(json, "]");
}

static void open_level(struct to_json *json, const struct to_json_level *level)
{
	put(json, level->kind == JSON_LIST ? "[" : level->kind == JSON_MAP ? "{" : "{\"$map\": [");
	json->levels[json->depth++] = *level;
}

static void close_level(struct to_json *json)
{
	const struct to_json_level *level = &json->levels[--json->depth];

	put(json, level->kind == JSON_LIST ? "]" : level->kind == JSON_MAP ? "}" : "]}");
	note_written(json);
}

static void put_container(struct to_json *json)
{
	struct to_json_level level = {.kind = JSON_LIST};
	struct span whole;
	uint32_t count = 0;

	if (json->depth == TO_JSON_LEVELS) {
		json->failed = json->failed || read_value(&json->reader, &whole) < 0;
		if (!json->failed)
			put_special(json, "$msgpack", whole);
		note_written(json);
		return;
	}
	if (read_array(&json->reader, &count) == 0)
		level.left = count;
	else if (read_map(&json->reader, &count) == 0)
		level = (struct to_json_level){.left = 2 * (uint64_t)count,
					       .kind = is_plain(json->reader, count) ? JSON_MAP : JSON_PAIRS};
	else
		json->failed = true; /* no value begins so */
	open_level(json, &level);
}

static void step(struct to_json *json)
{
	if (json->depth > 0 && json->levels[json->depth - 1].left == 0) {
		close_level(json);
		return;
	}
	put_separator(json);
	if (put_scalar(json))
		note_written(json);
	else
		put_container(json);
}

void to_json_begin(struct to_json *json, struct span values, uint32_t count, struct evbuffer *out)
{
	json->reader = reader_of(values);
	json->out = out;
	json->have = json->written = 0;
	json->depth = 0;
	json->done = json->failed = false;
	if (count != TO_JSON_ALONE)
		open_level(json, &(struct to_json_level){.left = count, .kind = JSON_LIST});
}

bool to_json_go_on(struct to_json *json, size_t budget)
{
	json->written = 0;
	while (!json->done && !json->failed && json->written + json->have < budget)
		step(json);
	flush(json);
	return json->done || json->failed;
}
