/* SPDX-License-Identifier: Apache-2.0 */
/* packer: functions of packers for other files of the library, beside the public ones. */
#ifndef CLIENT_C_PACKER_H
#define CLIENT_C_PACKER_H

#include "objpool/client.h"

/* Makes room for `size` bytes and returns where they go. The caller adds to packer->size. NULL: out of memory, now or before. */
unsigned char *pack_room(struct objpool_packer *packer, size_t size);

/* The bytes that objpool_packed returns for a packer that has failed. They do not mean "none". */
#define PACK_FAILED ((struct objpool_bytes){NULL, SIZE_MAX})
static inline bool pack_has_failed(struct objpool_bytes bytes)
{
	return !bytes.data && bytes.size == SIZE_MAX;
}

/* An array's header of fixed length, for a count that is not known yet. pack_count_set writes it later. */
enum { PACK_COUNT_SIZE = 5 };
static inline void pack_count_set(unsigned char *p, uint32_t count)
{
	p[0] = 0xdd;
	p[1] = (unsigned char)(count >> 24);
	p[2] = (unsigned char)(count >> 16);
	p[3] = (unsigned char)(count >> 8);
	p[4] = (unsigned char)count;
}

#endif
