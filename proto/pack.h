/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: writes msgpack headers and small values to memory that has room for them; each returns where the next byte goes.
 * The most that each can write stands at its name. For more than headers use msgpack-c.
 */
#ifndef PROTO_PACK_H
#define PROTO_PACK_H

#include "proto/msgpack_bytes.h"

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	PACK_HEAD = 5, /* any array, map, str or bin header */
	PACK_UINT = 9, /* any integer */
};

static inline uint8_t *pack_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static inline uint8_t *pack_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static inline uint8_t *pack_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
	return p + 8;
}

static inline uint8_t *pack_nil(uint8_t *p)
{
	*p = BYTE_NIL;
	return p + 1;
}

static inline uint8_t *pack_bool(uint8_t *p, int v)
{
	*p = v ? BYTE_TRUE : BYTE_FALSE;
	return p + 1;
}

static inline uint8_t *pack_uint(uint8_t *p, uint64_t v)
{
	if (v <= BYTE_FIXINT_MAX) {
		*p = (uint8_t)v;
		return p + 1;
	}
	if (v <= UINT8_MAX) {
		*p++ = BYTE_UINT8;
		*p = (uint8_t)v;
		return p + 1;
	}
	if (v <= UINT16_MAX) {
		*p++ = BYTE_UINT16;
		return pack_be16(p, (uint16_t)v);
	}
	if (v <= UINT32_MAX) {
		*p++ = BYTE_UINT32;
		return pack_be32(p, (uint32_t)v);
	}
	*p++ = BYTE_UINT64;
	return pack_be64(p, v);
}

static inline uint8_t *pack_int(uint8_t *p, int64_t v)
{
	if (v >= 0)
		return pack_uint(p, (uint64_t)v);
	if (v >= -32) {
		*p = (uint8_t)v;
		return p + 1;
	}
	*p++ = BYTE_INT64;
	return pack_be64(p, (uint64_t)v);
}

/* A header of one of the families that have a short form, a 16-bit and a 32-bit one. */
static inline uint8_t *pack_head(uint8_t *p, uint32_t n, uint8_t fix, uint32_t fix_below, uint8_t head16)
{
	if (n < fix_below) {
		*p = (uint8_t)(fix | n);
		return p + 1;
	}
	if (n <= UINT16_MAX) {
		*p++ = head16;
		return pack_be16(p, (uint16_t)n);
	}
	*p++ = (uint8_t)(head16 + 1);
	return pack_be32(p, n);
}

static inline uint8_t *pack_array(uint8_t *p, uint32_t n)
{
	return pack_head(p, n, BYTE_FIXARRAY, 16, BYTE_ARRAY16);
}

/* As pack_uint and pack_array, always in the longest form: what is written over it later has the same length. */
static inline uint8_t *pack_uint_wide(uint8_t *p, uint64_t v)
{
	*p++ = BYTE_UINT64;
	return pack_be64(p, v);
}

static inline uint8_t *pack_array_wide(uint8_t *p, uint32_t n)
{
	*p++ = BYTE_ARRAY32;
	return pack_be32(p, n);
}

static inline uint8_t *pack_map(uint8_t *p, uint32_t n)
{
	return pack_head(p, n, BYTE_FIXMAP, 16, BYTE_MAP16);
}

static inline uint8_t *pack_str_head(uint8_t *p, uint32_t n)
{
	if (n >= 32 && n <= UINT8_MAX) {
		*p++ = BYTE_STR8;
		*p = (uint8_t)n;
		return p + 1;
	}
	return pack_head(p, n, BYTE_FIXSTR, 32, BYTE_STR16);
}

/* Header and text: PACK_HEAD + n bytes. */
static inline uint8_t *pack_str(uint8_t *p, const char *text, size_t n)
{
	p = pack_str_head(p, (uint32_t)n);
	memcpy(p, text, n);
	return p + n;
}

#endif
