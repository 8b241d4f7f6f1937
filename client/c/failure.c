/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/failure.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct failure {
	struct objpool_error error;
	unsigned refs;
	char text[]; /* the strings, each with its NUL, and the data */
};

static const struct failure out_of_memory = {
	.error = {.code = "INTERNAL", .message = "no memory for the error", .slot = -1, .generation = -1, .index = -1,
		  .exit_status = -1},
};

static struct failure *failure_of(const struct objpool_error *error)
{
	return (struct failure *)(uintptr_t)error; /* its first member */
}

/* What has been read, before its strings are copied. */
enum text { CODE, MESSAGE, TYPE, TRACEBACK, POOL, USER, RIGHT, HOST, TEXTS };
struct parts {
	struct objpool_bytes texts[TEXTS];
	struct objpool_error error; /* the numbers */
};

static bool is(struct objpool_bytes key, const char *name)
{
	return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0;
}

/* Reads a str or bin. False: the value is neither, and is not passed. */
static bool read_text(struct objpool_reader *reader, struct objpool_bytes *text)
{
	const char *chars;

	if (objpool_read_str(reader, &chars, &text->size) == 0) {
		text->data = chars;
		return true;
	}
	return objpool_read_bin(reader, &text->data, &text->size) == 0;
}

static bool parse_text(struct parts *parts, struct objpool_bytes key, struct objpool_reader *value)
{
	static const char *const names[TEXTS] = {"code", "message", "type", "traceback", "pool", "user", "right",
						     "host"};

	for (size_t i = 0; i < TEXTS; i++)
		if (is(key, names[i]))
			return read_text(value, &parts->texts[i]);
	return false;
}

static bool parse_number(struct parts *parts, struct objpool_bytes key, struct objpool_reader *value)
{
	struct objpool_error *error = &parts->error;
	int64_t number;

	if (objpool_read_int(value, &number) < 0)
		return false;
	if (is(key, "slot"))
		error->slot = number;
	else if (is(key, "generation"))
		error->generation = number;
	else if (is(key, "index"))
		error->index = number;
	else if (is(key, "signal"))
		error->signal = (int)number;
	else if (is(key, "exit_status"))
		error->exit_status = (int)number;
	else if (is(key, "retry_after_ms"))
		error->retry_after_ms = number;
	return true;
}

static enum objpool_ran parse_ran(struct objpool_bytes text)
{
	if (is(text, "no"))
		return OBJPOOL_RAN_NO;
	if (is(text, "maybe"))
		return OBJPOOL_RAN_MAYBE;
	return is(text, "yes") ? OBJPOOL_RAN_YES : OBJPOOL_RAN_UNKNOWN;
}

/* Ignores an unknown key, and a value of another type: newer daemons may send more. */
static void parse_pair(struct parts *parts, struct objpool_bytes key, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	struct objpool_bytes text;

	if (is(key, "ran") && read_text(&reader, &text))
		parts->error.ran = parse_ran(text);
	else if (is(key, "data") && objpool_read_type(&reader) != OBJPOOL_NIL)
		parts->error.data = value;
	else if (!parse_text(parts, key, &reader))
		(void)parse_number(parts, key, &reader);
}

static void parse_map(struct parts *parts, struct objpool_reader *reader)
{
	struct objpool_bytes key, value;
	uint32_t count = 0;

	(void)objpool_read_map(reader, &count);
	while (count-- > 0) {
		if (!read_text(reader, &key) && objpool_read_value(reader, &key) < 0)
			return;
		if (objpool_read_value(reader, &value) < 0)
			return;
		parse_pair(parts, key, value);
	}
}

/* "CODE: text"; or any text, from a server that has no codes. */
static void parse_sentence(struct parts *parts, struct objpool_bytes sentence)
{
	static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	const char *text = sentence.data;
	size_t n = 0;

	while (n < sentence.size && text[n] && strchr(capitals, text[n]))
		n++;
	parts->texts[MESSAGE] = sentence;
	if (n == 0 || n + 2 > sentence.size || text[n] != ':' || text[n + 1] != ' ')
		return;
	parts->texts[CODE] = (struct objpool_bytes){text, n};
	parts->texts[MESSAGE] = (struct objpool_bytes){text + n + 2, sentence.size - n - 2};
}

/* Copies bytes and a NUL to `*room`, and moves `*room` behind them. NULL: there are no bytes. */
static const char *keep(char **room, struct objpool_bytes bytes)
{
	char *copy = *room;

	if (!bytes.data)
		return NULL;
	memcpy(copy, bytes.data, bytes.size);
	copy[bytes.size] = '\0';
	*room += bytes.size + 1;
	return copy;
}

static const struct objpool_error *assemble(const struct parts *parts)
{
	size_t size = sizeof(struct failure) + parts->error.data.size + 1;
	for (size_t i = 0; i < TEXTS; i++)
		size += parts->texts[i].size + 1;
	struct failure *failure = malloc(size);
	if (!failure)
		return &out_of_memory.error;

	char *room = failure->text;
	struct objpool_error *error = &failure->error;
	failure->refs = 1;
	*error = parts->error;
	error->code = keep(&room, parts->texts[CODE]);
	error->message = keep(&room, parts->texts[MESSAGE]);
	error->type = keep(&room, parts->texts[TYPE]);
	error->traceback = keep(&room, parts->texts[TRACEBACK]);
	error->pool = keep(&room, parts->texts[POOL]);
	error->user = keep(&room, parts->texts[USER]);
	error->right = keep(&room, parts->texts[RIGHT]);
	error->host = keep(&room, parts->texts[HOST]);
	error->data.data = keep(&room, parts->error.data);
	if (!error->code || !*error->code)
		error->code = "FAILED";
	if (!error->message)
		error->message = "";
	return error;
}

static struct parts no_parts(void)
{
	return (struct parts){.error = {.slot = -1, .generation = -1, .index = -1, .exit_status = -1}};
}

static struct parts parse(struct objpool_bytes bytes)
{
	struct objpool_reader reader = objpool_reader(bytes);
	struct parts parts = no_parts();
	struct objpool_bytes sentence;

	if (objpool_read_type(&reader) == OBJPOOL_MAP)
		parse_map(&parts, &reader);
	else if (read_text(&reader, &sentence))
		parse_sentence(&parts, sentence);
	else
		parts.error.data = bytes;
	return parts;
}

const struct objpool_error *failure_parse(struct objpool_bytes error)
{
	const struct parts parts = parse(error);

	return assemble(&parts);
}

const struct objpool_error *failure_parse_as(struct objpool_bytes error, enum objpool_ran ran)
{
	struct parts parts = parse(error);

	parts.error.ran = ran;
	return assemble(&parts);
}

const struct objpool_error *failure_make(const char *code, const char *message, enum objpool_ran ran)
{
	struct parts parts = no_parts();

	parts.texts[CODE] = (struct objpool_bytes){code, strlen(code)};
	parts.texts[MESSAGE] = (struct objpool_bytes){message, strlen(message)};
	parts.error.ran = ran;
	return assemble(&parts);
}

const struct objpool_error *failure_ref(const struct objpool_error *error)
{
	if (error && error != &out_of_memory.error)
		failure_of(error)->refs++;
	return error;
}

const struct objpool_error *failure_unref(const struct objpool_error *error)
{
	if (error && error != &out_of_memory.error && --failure_of(error)->refs == 0)
		free(failure_of(error));
	return NULL;
}
