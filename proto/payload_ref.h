/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload_ref: a value that stands for bytes of a file which comes beside the message: an ext of 16 bytes.
 *
 *   d8 | type | file, 2 bytes | offset, 6 bytes | kind, 2 bytes | length, 6 bytes
 *
 * PAYLOAD_BYTES stands for a bin (kind 0), or for an ext with these bytes (kind PAYLOAD_EXT | its type). In what a client
 * sends, `file` is 0 and the descriptors are in the order of the values; in what it gets, `file` is the mark that hello told
 * it. Inside the daemon it says which of the message's files it is. PAYLOAD_VALUES stands for packed values.
 */
#ifndef PROTO_PAYLOAD_REF_H
#define PROTO_PAYLOAD_REF_H

#include "proto/msgpack_bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_BYTES = 112, PAYLOAD_VALUES = 113, PAYLOAD_REF = 18, PAYLOAD_EXT = 0x100 };
enum { PAYLOAD_FILES = 64 }; /* descriptors with one message */
enum { PAYLOAD_SELF = PAYLOAD_FILES }; /* the number of the file that the message itself came in */

struct payload_ref {
	uint32_t file, kind;
	uint64_t offset, length;
};

static inline bool payload_is_ref(const uint8_t *p, size_t size, int type)
{
	return size >= PAYLOAD_REF && p[0] == BYTE_FIXEXT16 && p[1] == type;
}
struct payload_ref payload_read_ref(const uint8_t *p);

void payload_write_ref(uint8_t *p, int type, struct payload_ref ref);

#endif
