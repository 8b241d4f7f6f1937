/* SPDX-License-Identifier: Apache-2.0 */
/* packer: functions of packers for other files of the library, beside the public ones. */
#ifndef CLIENT_C_PACKER_H
#define CLIENT_C_PACKER_H

#include "objpool/client.h"
#include "proto/pack.h"

/* Makes room for `size` bytes and returns where they go. The caller adds to packer->size. NULL: out of memory, now or before. */
unsigned char *packer_room(struct objpool_packer *packer, size_t size);

/* The bytes that objpool_packed returns for a packer that has failed. They do not mean "none". */
#define PACKER_FAILED ((struct objpool_bytes){NULL, SIZE_MAX})
static inline bool packer_has_failed(struct objpool_bytes bytes)
{
	return !bytes.data && bytes.size == SIZE_MAX;
}

/* An array's header, PACKER_COUNT bytes for any count, to be written when the count is known. */
enum { PACKER_COUNT = 5 };
static inline void packer_set_count(unsigned char *p, uint32_t count)
{
	(void)pack_array_wide(p, count);
}

#endif
