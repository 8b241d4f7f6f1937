/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packer: makes msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) in memory that grows. The library packs requests
 * with the same functions, directly into the connection's output.
 */
#include "client/c/packer.h"

#include "client/c/shared_memory.h"
#include "proto/msgpack_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The bytes have outgrown the shared memory: they move to ordinary memory. */
static unsigned char *leave_shared_memory(struct objpool_packer *packer, size_t capacity)
{
	unsigned char *data = malloc(capacity);

	if (!data)
		return NULL;
	memcpy(data, packer->data, packer->size);
	shared_memory_drop(packer->owned);
	packer->owned = NULL;
	return data;
}

unsigned char *packer_room(struct objpool_packer *packer, size_t size)
{
	if (packer->error)
		return NULL;
	if (packer->capacity - packer->size >= size)
		return packer->data + packer->size;
	size_t capacity = packer->capacity < 128 ? 256 : packer->capacity * 2;
	if (capacity - packer->size < size)
		capacity = packer->size + size;
	unsigned char *data = packer->owned ? leave_shared_memory(packer, capacity) : realloc(packer->data, capacity);
	if (!data) {
		packer->error = -ENOMEM;
		return NULL;
	}
	packer->data = data;
	packer->capacity = capacity;
	return data + packer->size;
}

void objpool_packer_free(struct objpool_packer *packer)
{
	if (packer->owned)
		shared_memory_drop(packer->owned);
	else
		free(packer->data);
	*packer = (struct objpool_packer)OBJPOOL_PACKER_INIT;
}

struct objpool_bytes objpool_packed(const struct objpool_packer *packer)
{
	if (packer->error)
		return PACKER_FAILED;
	return (struct objpool_bytes){packer->data, packer->size};
}

/* Packs a first byte, and the lowest `n` bytes of `value` in big-endian order. */
static void put(struct objpool_packer *packer, unsigned first, uint64_t value, unsigned n)
{
	unsigned char *p = packer_room(packer, 1 + n);

	if (!p)
		return;
	*p++ = (unsigned char)first;
	for (unsigned shift = 8 * n; shift > 0; shift -= 8)
		*p++ = (unsigned char)(value >> (shift - 8));
	packer->size += 1 + n;
}

static void put_bytes(struct objpool_packer *packer, const void *bytes, size_t size)
{
	unsigned char *p = size ? packer_room(packer, size) : NULL;

	if (p) {
		memcpy(p, bytes, size);
		packer->size += size;
	}
}

/* Packs a length of 8, 16 or 32 bits. `first`: the first byte of the 8-bit form; those of the other forms are the next ones. */
static void put_length(struct objpool_packer *packer, unsigned first, size_t size)
{
	if (size > UINT32_MAX)
		packer->error = -ENOMEM; /* no message can have so many bytes */
	else if (size <= UINT8_MAX)
		put(packer, first, size, 1);
	else if (size <= UINT16_MAX)
		put(packer, first + 1, size, 2);
	else
		put(packer, first + 2, size, 4);
}

void objpool_pack_nil(struct objpool_packer *packer)
{
	put(packer, BYTE_NIL, 0, 0);
}

void objpool_pack_bool(struct objpool_packer *packer, bool value)
{
	put(packer, value ? BYTE_TRUE : BYTE_FALSE, 0, 0);
}

void objpool_pack_uint(struct objpool_packer *packer, uint64_t value)
{
	if (value <= BYTE_FIXINT_MAX)
		put(packer, (unsigned)value, 0, 0);
	else if (value <= UINT8_MAX)
		put(packer, BYTE_UINT8, value, 1);
	else if (value <= UINT16_MAX)
		put(packer, BYTE_UINT16, value, 2);
	else if (value <= UINT32_MAX)
		put(packer, BYTE_UINT32, value, 4);
	else
		put(packer, BYTE_UINT64, value, 8);
}

void objpool_pack_int(struct objpool_packer *packer, int64_t value)
{
	if (value >= 0)
		objpool_pack_uint(packer, (uint64_t)value);
	else if (value >= -32)
		put(packer, 0x100u + (unsigned)value, 0, 0);
	else if (value >= INT8_MIN)
		put(packer, BYTE_INT8, (uint64_t)value, 1);
	else if (value >= INT16_MIN)
		put(packer, BYTE_INT16, (uint64_t)value, 2);
	else if (value >= INT32_MIN)
		put(packer, BYTE_INT32, (uint64_t)value, 4);
	else
		put(packer, BYTE_INT64, (uint64_t)value, 8);
}

void objpool_pack_double(struct objpool_packer *packer, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	put(packer, BYTE_FLOAT64, bits, 8);
}

void objpool_pack_str(struct objpool_packer *packer, const char *text, size_t size)
{
	if (size < 32)
		put(packer, BYTE_FIXSTR + (unsigned)size, 0, 0);
	else
		put_length(packer, BYTE_STR8, size);
	put_bytes(packer, text, size);
}

void objpool_pack_cstr(struct objpool_packer *packer, const char *text)
{
	objpool_pack_str(packer, text, strlen(text));
}

void objpool_pack_bin(struct objpool_packer *packer, const void *bytes, size_t size)
{
	put_length(packer, BYTE_BIN8, size);
	put_bytes(packer, bytes, size);
}

void *objpool_pack_bin_room(struct objpool_packer *packer, size_t size)
{
	put_length(packer, BYTE_BIN8, size);
	unsigned char *room = packer_room(packer, size);

	if (room)
		packer->size += size;
	return room;
}

void objpool_pack_ext(struct objpool_packer *packer, int8_t type, const void *bytes, size_t size)
{
	if (size > 0 && size <= 16 && (size & (size - 1)) == 0)
		put(packer, BYTE_FIXEXT1 + (unsigned)__builtin_ctzl(size), 0, 0);
	else
		put_length(packer, BYTE_EXT8, size);
	put_bytes(packer, &type, 1);
	put_bytes(packer, bytes, size);
}

void objpool_pack_array(struct objpool_packer *packer, uint32_t count)
{
	if (count < 16)
		put(packer, BYTE_FIXARRAY + count, 0, 0);
	else
		put(packer, count <= UINT16_MAX ? BYTE_ARRAY16 : BYTE_ARRAY32, count, count <= UINT16_MAX ? 2 : 4);
}

void objpool_pack_map(struct objpool_packer *packer, uint32_t count)
{
	if (count < 16)
		put(packer, BYTE_FIXMAP + count, 0, 0);
	else
		put(packer, count <= UINT16_MAX ? BYTE_MAP16 : BYTE_MAP32, count, count <= UINT16_MAX ? 2 : 4);
}

void objpool_pack_raw(struct objpool_packer *packer, struct objpool_bytes values)
{
	if (packer_has_failed(values))
		packer->error = -ENOMEM;
	else
		put_bytes(packer, values.data, values.size);
}
