/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_json: writes packed values as JSON text, in pieces: a large value must not hold the loop. What JSON has no form for is
 * written as from_json reads it. A value nested deeper than TO_JSON_LEVELS is {"$msgpack": BASE64}, and is not read back.
 */
#ifndef JSON_TO_JSON_H
#define JSON_TO_JSON_H

#include "proto/read.h"

#include <event2/buffer.h>

enum { TO_JSON_LEVELS = 64, TO_JSON_ROOM = 1024, TO_JSON_ALONE = UINT32_MAX };

/* An array or a map that is open. */
struct to_json_level {
	uint64_t left; /* values that come; of a map two for each pair */
	enum { JSON_LIST, JSON_MAP, JSON_PAIRS } kind;
	bool begun; /* a value has been written */
};

struct to_json {
	struct reader reader;
	struct evbuffer *out;
	char room[TO_JSON_ROOM]; /* text that is not in `out` yet */
	size_t have;
	size_t written;
	uint32_t depth;
	struct to_json_level levels[TO_JSON_LEVELS];
	bool done;
	bool failed; /* there was no memory: a piece of the text is missing */
};

/* Begins to write the whole, valid values to `out`: one alone, with `count` TO_JSON_ALONE; or so many as an array. They must
 * stay where they are. */
void to_json_begin(struct to_json *json, struct span values, uint32_t count, struct evbuffer *out);

/* Writes some `budget` bytes more, or the rest, which it does not exceed by more than one str or bin. True: all is written, or
 * has failed. */
bool to_json_go_on(struct to_json *json, size_t budget);

#endif
