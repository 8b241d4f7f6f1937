/* SPDX-License-Identifier: Apache-2.0 */
/* type_source: the text of a signature while it is parsed: where the parser is, words and marks, and what is wrong where. */
#ifndef WORKER_TYPE_SOURCE_H
#define WORKER_TYPE_SOURCE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	TYPE_TEXT_MAX = 16384, /* bytes of a text */
	TYPE_DEPTH_MAX =
		10, /* levels of a type, and of a default value. The answer of objpool.describe must not have more than 32 */
	TYPE_PARTS_MAX = 64, /* types in a union or tuple, values in a list */
};

/* The names of the records that a class declares. */
struct type_names {
	const msgpack_object_str *names;
	uint32_t count;
};

struct type_source {
	const char *begin, *at, *end;
	msgpack_zone *zone; /* what is made of the text lies here, and in the text */
	const struct type_names *records;
	int depth;
	char *reason;
	size_t reason_size;
};

/* -1 with the reason if the text is longer than TYPE_TEXT_MAX. The text must outlive what is made of it. */
int type_source_begin(struct type_source *source, const char *text, size_t size, msgpack_zone *zone,
		      const struct type_names *records, char *reason, size_t reason_size);

/* Writes "column N: " and the sentence. `at` is the place in the text. Returns -1. */
__attribute__((format(printf, 3, 4))) int type_source_fail(struct type_source *source, const char *at, const char *format, ...);
int type_source_fail_memory(struct type_source *source);

/* The next mark is `mark`: goes behind it. Spaces before it don't count. */
bool type_source_take(struct type_source *source, const char *mark);
int type_source_expect(struct type_source *source, const char *mark);

/* Before each part of a list, of which `n` have been parsed, `max` at most, and that `end` closes. 1: another part comes; 0: the
 * list has ended; -1: it is wrong. A comma may stand before the end. */
int type_source_part(struct type_source *source, const char *end, uint32_t n, uint32_t max);

/* Where the next word or mark is: goes over spaces. */
const char *type_source_here(struct type_source *source);

bool type_source_ends(struct type_source *source);

/* Takes a name as Python has them. False: there is none. */
bool type_source_name(struct type_source *source, msgpack_object_str *name);

/* One level deeper; the caller goes up by source->depth--. -1: too deep. */
int type_source_descend(struct type_source *source);

/* How much of a text goes into a reason. */
static inline int type_shown(msgpack_object_str text)
{
	return (int)(text.size < 40 ? text.size : 40);
}

/* ---- objects ---- */

static inline bool type_text_is(msgpack_object_str text, const char *other)
{
	return text.size == strlen(other) && memcmp(text.ptr, other, text.size) == 0;
}

static inline bool type_text_same(msgpack_object_str one, msgpack_object_str other)
{
	return one.size == other.size && memcmp(one.ptr, other.ptr, one.size) == 0;
}

static inline msgpack_object type_text(msgpack_object_str text)
{
	return (msgpack_object){.type = MSGPACK_OBJECT_STR, .via.str = text};
}

static inline msgpack_object type_word(const char *word)
{
	return type_text((msgpack_object_str){.ptr = word, .size = (uint32_t)strlen(word)});
}

static inline msgpack_object type_nil(void)
{
	return (msgpack_object){.type = MSGPACK_OBJECT_NIL};
}

/* -1 if there is no memory. */
int type_array(struct type_source *source, const msgpack_object *values, uint32_t count, msgpack_object *array);
int type_map(struct type_source *source, const msgpack_object_kv *pairs, uint32_t count, msgpack_object *map);

#endif
