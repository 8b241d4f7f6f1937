/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack_bytes: the first byte of a value. It says the type and, if the value is small, its length or the value itself. The
 * names are those of the msgpack specification. */
#ifndef PROTO_MSGPACK_BYTES_H
#define PROTO_MSGPACK_BYTES_H

enum msgpack_byte {
	BYTE_FIXINT_MAX = 0x7f, /* up to here the byte is the integer */
	BYTE_FIXMAP = 0x80,     /* | the number of pairs, up to 15 */
	BYTE_FIXARRAY = 0x90,   /* | the number of elements, up to 15 */
	BYTE_FIXSTR = 0xa0,     /* | the length, up to 31 */
	BYTE_NIL = 0xc0,
	BYTE_FALSE = 0xc2,
	BYTE_TRUE = 0xc3,
	BYTE_BIN8 = 0xc4,
	BYTE_BIN16 = 0xc5,
	BYTE_BIN32 = 0xc6,
	BYTE_EXT8 = 0xc7,
	BYTE_EXT16 = 0xc8,
	BYTE_EXT32 = 0xc9,
	BYTE_FLOAT32 = 0xca,
	BYTE_FLOAT64 = 0xcb,
	BYTE_UINT8 = 0xcc,
	BYTE_UINT16 = 0xcd,
	BYTE_UINT32 = 0xce,
	BYTE_UINT64 = 0xcf,
	BYTE_INT8 = 0xd0,
	BYTE_INT16 = 0xd1,
	BYTE_INT32 = 0xd2,
	BYTE_INT64 = 0xd3,
	BYTE_FIXEXT1 = 0xd4,
	BYTE_FIXEXT16 = 0xd8,
	BYTE_STR8 = 0xd9,
	BYTE_STR16 = 0xda,
	BYTE_STR32 = 0xdb,
	BYTE_ARRAY16 = 0xdc,
	BYTE_ARRAY32 = 0xdd,
	BYTE_MAP16 = 0xde,
	BYTE_MAP32 = 0xdf,
	BYTE_NEGATIVE = 0xe0, /* from here on the byte, as a signed number, is the integer: -32 to -1 */
};

#endif
