/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/types/type_source.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int type_source_begin(struct type_source *source, const char *text, size_t size, msgpack_zone *zone,
		      const struct type_names *records, char *reason, size_t reason_size)
{
	*source = (struct type_source){.begin = text,
				       .at = text,
				       .end = text + size,
				       .zone = zone,
				       .records = records,
				       .reason = reason,
				       .reason_size = reason_size};
	if (size > TYPE_TEXT_MAX)
		return type_source_fail(source, text + TYPE_TEXT_MAX, "a signature may have %d bytes", TYPE_TEXT_MAX);
	return 0;
}

int type_source_fail(struct type_source *source, const char *at, const char *format, ...)
{
	const int n = snprintf(source->reason, source->reason_size, "column %zu: ", (size_t)(at - source->begin) + 1);
	va_list list;

	va_start(list, format);
	if (n > 0 && (size_t)n < source->reason_size)
		(void)vsnprintf(source->reason + n, source->reason_size - (size_t)n, format, list);
	va_end(list);
	return -1;
}

int type_source_fail_memory(struct type_source *source)
{
	return type_source_fail(source, source->at, "out of memory");
}

const char *type_source_here(struct type_source *source)
{
	while (source->at < source->end && strchr(" \t\r\n", *source->at) && *source->at)
		source->at++;
	return source->at;
}

bool type_source_take(struct type_source *source, const char *mark)
{
	const size_t size = strlen(mark);

	if ((size_t)(source->end - type_source_here(source)) < size || memcmp(source->at, mark, size) != 0)
		return false;
	source->at += size;
	return true;
}

/* The word or the mark that comes next, for a reason. */
static void name_next(const struct type_source *source, char *text, size_t size)
{
	struct type_source ahead = *source;
	msgpack_object_str name;

	if (type_source_name(&ahead, &name))
		(void)snprintf(text, size, "\"%.*s\"", type_shown(name), name.ptr);
	else if (ahead.at == ahead.end)
		(void)snprintf(text, size, "the end");
	else
		(void)snprintf(text, size, "\"%c\"", *ahead.at >= ' ' ? *ahead.at : '?');
}

int type_source_expect(struct type_source *source, const char *mark)
{
	char next[64];

	if (type_source_take(source, mark))
		return 0;
	name_next(source, next, sizeof next);
	return type_source_fail(source, source->at, "\"%s\" is missing before %s", mark, next);
}

int type_source_part(struct type_source *source, const char *end, uint32_t n, uint32_t max)
{
	char next[64];

	if (type_source_take(source, end))
		return 0;
	if (n == max)
		return type_source_fail(source, source->at, "more than %u in one list", max);
	if (n == 0)
		return 1;
	if (type_source_take(source, ","))
		return !type_source_take(source, end);
	name_next(source, next, sizeof next);
	return type_source_fail(source, source->at, "\",\" or \"%s\" is missing before %s", end, next);
}

bool type_source_ends(struct type_source *source)
{
	return type_source_here(source) == source->end;
}

/* All of UTF-8 beyond ASCII may be in a name. */
static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

bool type_source_name(struct type_source *source, msgpack_object_str *name)
{
	const char *begin = type_source_here(source);
	if (begin == source->end || !begins_name(*begin))
		return false;
	while (source->at < source->end && (begins_name(*source->at) || (*source->at >= '0' && *source->at <= '9')))
		source->at++;
	*name = (msgpack_object_str){.ptr = begin, .size = (uint32_t)(source->at - begin)};
	return true;
}

int type_source_descend(struct type_source *source)
{
	if (source->depth == TYPE_DEPTH_MAX)
		return type_source_fail(source, source->at, "more than %d levels", TYPE_DEPTH_MAX);
	source->depth++;
	return 0;
}

/* ---- objects ---- */

/* A copy in the zone. An empty one is not NULL. */
static void *copied(struct type_source *source, const void *from, size_t size)
{
	void *copy = msgpack_zone_malloc(source->zone, size ? size : 1);

	if (!copy)
		(void)type_source_fail_memory(source);
	else if (size > 0)
		memcpy(copy, from, size);
	return copy;
}

int type_array(struct type_source *source, const msgpack_object *values, uint32_t count, msgpack_object *array)
{
	msgpack_object *copy = copied(source, values, count * sizeof *values);

	*array = (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = copy, .size = count}};
	return copy ? 0 : -1;
}

int type_map(struct type_source *source, const msgpack_object_kv *pairs, uint32_t count, msgpack_object *map)
{
	msgpack_object_kv *copy = copied(source, pairs, count * sizeof *pairs);

	*map = (msgpack_object){.type = MSGPACK_OBJECT_MAP, .via.map = {.ptr = copy, .size = count}};
	return copy ? 0 : -1;
}
