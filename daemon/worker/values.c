/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/values.h"

#include "proto/scan.h"

#include <errno.h>
#include <string.h>

/* Makes numbers, nil and booleans itself. Most items of a map are such values, and msgpack-c takes longer for them. */
static int small(struct reader *reader, msgpack_object *object)
{
	int64_t i;
	uint64_t u;
	bool b;

	if (read_int(reader, &i) == 0) {
		object->type = i < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
		object->via.i64 = i;
	} else if (read_uint(reader, &u) == 0) {
		object->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
		object->via.u64 = u;
	} else if (reader->end - reader->p >= 9 && *reader->p == BYTE_FLOAT64) {
		uint64_t bits;
		memcpy(&bits, reader->p + 1, 8);
		bits = __builtin_bswap64(bits);
		object->type = MSGPACK_OBJECT_FLOAT64;
		memcpy(&object->via.f64, &bits, 8);
		reader->p += 9;
	} else if (read_bool(reader, &b) == 0) {
		object->type = MSGPACK_OBJECT_BOOLEAN;
		object->via.boolean = b;
	} else if (read_nil(reader) == 0) {
		object->type = MSGPACK_OBJECT_NIL;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int text(struct reader *reader, msgpack_object *object)
{
	struct span span;

	if (read_str(reader, &span) == 0) {
		object->type = MSGPACK_OBJECT_STR;
		object->via.str = (msgpack_object_str){.ptr = (const char *)span.bytes, .size = (uint32_t)span.size};
	} else if (read_bytes(reader, &span) == 0) {
		object->type = MSGPACK_OBJECT_BIN;
		object->via.bin = (msgpack_object_bin){.ptr = (const char *)span.bytes, .size = (uint32_t)span.size};
	} else {
		return -EINVAL;
	}
	return 0;
}

int values_next(struct reader *reader, msgpack_zone *zone, msgpack_object *object)
{
	const size_t size = (size_t)(reader->end - reader->p);
	size_t used = 0;

	if (small(reader, object) == 0 || text(reader, object) == 0)
		return 0;
	const msgpack_unpack_return r = msgpack_unpack((const char *)reader->p, size, &used, zone, object);
	if (r != MSGPACK_UNPACK_SUCCESS && r != MSGPACK_UNPACK_EXTRA_BYTES) /* too deep, or no memory */
		return scan_nesting(reader->p, size) > SCAN_LEVELS ? -E2BIG : -ENOMEM;
	reader->p += used;
	return 0;
}
