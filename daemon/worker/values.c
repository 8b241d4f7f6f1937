/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/values.h"

#include "proto/scan.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void set_unsigned(msgpack_object *object, uint64_t value)
{
	object->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
	object->via.u64 = value;
}

static void set_signed(msgpack_object *object, int64_t value)
{
	object->type = value < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
	object->via.i64 = value;
}

static void set_boolean(msgpack_object *object, bool value)
{
	object->type = MSGPACK_OBJECT_BOOLEAN;
	object->via.boolean = value;
}

/* The number of `size` bytes at `p`. */
static uint64_t number(const uint8_t *p, size_t size)
{
	uint64_t wide;
	uint32_t half;
	uint16_t quarter;

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&quarter, p, sizeof quarter);
		return be16toh(quarter);
	case 4:
		memcpy(&half, p, sizeof half);
		return be32toh(half);
	default:
		memcpy(&wide, p, sizeof wide);
		return be64toh(wide);
	}
}

static void set_float(msgpack_object *object, const uint8_t *p)
{
	const uint64_t bits = number(p, sizeof bits);

	object->type = MSGPACK_OBJECT_FLOAT64;
	memcpy(&object->via.f64, &bits, sizeof bits);
}

/* Makes numbers, nil and booleans itself. Most items of a map are such values, and msgpack-c takes longer for them. */
static int small(struct reader *reader, msgpack_object *object)
{
	const uint8_t *p = reader->p;
	const size_t size = p < reader->end ? scan_fixed(*p) : 0;

	if (size == 0 || size > (size_t)(reader->end - p))
		return -EINVAL;
	switch (*p) {
	case 0x00 ... BYTE_FIXINT_MAX:
		set_unsigned(object, *p);
		break;
	case BYTE_NEGATIVE ... 0xff:
		set_signed(object, (int8_t)*p);
		break;
	case BYTE_UINT8 ... BYTE_UINT8 + 3:
		set_unsigned(object, number(p + 1, size - 1));
		break;
	case BYTE_INT8 ... BYTE_INT64: {
		const unsigned unused = 64 - 8 * (unsigned)(size - 1);
		set_signed(object, (int64_t)(number(p + 1, size - 1) << unused) >> unused);
		break;
	}
	case BYTE_FLOAT64:
		set_float(object, p + 1);
		break;
	case BYTE_FALSE:
	case BYTE_TRUE:
		set_boolean(object, *p == BYTE_TRUE);
		break;
	case BYTE_NIL:
		object->type = MSGPACK_OBJECT_NIL;
		break;
	default:
		return -EINVAL;
	}
	reader->p += size;
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
	return 1;
}
