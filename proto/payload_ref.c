/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/payload_ref.h"

#include "proto/pack.h"

#include <endian.h>

enum { PLACE_BITS = 48 }; /* of an offset, or a length */

static uint64_t read_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

struct payload_ref payload_read_ref(const uint8_t *p)
{
	const uint64_t from = read_be64(p + 2), size = read_be64(p + 10), mask = (UINT64_C(1) << PLACE_BITS) - 1;
	return (struct payload_ref){.file = (uint32_t)(from >> PLACE_BITS), .kind = (uint32_t)(size >> PLACE_BITS),
				    .offset = from & mask, .length = size & mask};
}

void payload_write_ref(uint8_t *p, int type, struct payload_ref ref)
{
	p[0] = BYTE_FIXEXT16;
	p[1] = (uint8_t)type;
	p = pack_be64(p + 2, (uint64_t)ref.file << PLACE_BITS | ref.offset);
	(void)pack_be64(p, (uint64_t)ref.kind << PLACE_BITS | ref.length);
}
