/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/put.h"

#include "proto/pack.h"

void put_value(struct sendq *out, struct block *block, struct span value)
{
	if (value.size > 0)
		sendq_span(out, block, value.bytes, value.size);
	else
		sendq_copy(out, "\xc0", 1);
}

void put_uints(struct sendq *out, const uint64_t *values, unsigned count)
{
	uint8_t *p = sendq_reserve(out, count * PACK_UINT);
	if (!p)
		return;
	uint8_t *end = p;
	for (unsigned i = 0; i < count; i++)
		end = pack_uint(end, values[i]);
	sendq_commit(out, (size_t)(end - p));
}

void put_array(struct sendq *out, uint32_t count)
{
	uint8_t *p = sendq_reserve(out, PACK_HEAD);
	if (p)
		sendq_commit(out, (size_t)(pack_array(p, count) - p));
}

void put_map(struct sendq *out, uint32_t count)
{
	uint8_t *p = sendq_reserve(out, PACK_HEAD);
	if (p)
		sendq_commit(out, (size_t)(pack_map(p, count) - p));
}

void put_text(struct sendq *out, const void *text, size_t size)
{
	uint8_t *p = sendq_reserve(out, PACK_HEAD);
	if (!p)
		return;
	sendq_commit(out, (size_t)(pack_str_head(p, (uint32_t)size) - p));
	sendq_copy(out, text, size);
}
