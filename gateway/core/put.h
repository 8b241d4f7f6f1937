/* SPDX-License-Identifier: Apache-2.0 */
/* put: appends msgpack headers and small values to a send queue. Without memory nothing is written, and the queue has failed. */
#ifndef GATEWAY_PUT_H
#define GATEWAY_PUT_H

#include "proto/pack.h"
#include "proto/read.h"
#include "proto/sendq.h"

static inline bool span_is_nil(struct span value)
{
	return value.size == 1 && value.bytes[0] == BYTE_NIL;
}

static inline void put_array(struct sendq *to, uint32_t n)
{
	uint8_t *p = sendq_reserve(to, PACK_HEAD);
	if (p)
		sendq_commit(to, (size_t)(pack_array(p, n) - p));
}

static inline void put_map(struct sendq *to, uint32_t n)
{
	uint8_t *p = sendq_reserve(to, PACK_HEAD);
	if (p)
		sendq_commit(to, (size_t)(pack_map(p, n) - p));
}

static inline void put_uint(struct sendq *to, uint64_t n)
{
	uint8_t *p = sendq_reserve(to, PACK_UINT);
	if (p)
		sendq_commit(to, (size_t)(pack_uint(p, n) - p));
}

static inline void put_nil(struct sendq *to)
{
	uint8_t *p = sendq_reserve(to, 1);
	if (p)
		sendq_commit(to, (size_t)(pack_nil(p) - p));
}

static inline void put_bool(struct sendq *to, bool value)
{
	uint8_t *p = sendq_reserve(to, 1);
	if (p)
		sendq_commit(to, (size_t)(pack_bool(p, value) - p));
}

static inline void put_str_head(struct sendq *to, uint32_t size)
{
	uint8_t *p = sendq_reserve(to, PACK_HEAD);
	if (p)
		sendq_commit(to, (size_t)(pack_str_head(p, size) - p));
}

static inline void put_span(struct sendq *to, struct span text)
{
	put_str_head(to, (uint32_t)text.size);
	sendq_copy(to, text.bytes, text.size);
}

static inline void put_text(struct sendq *to, const char *text)
{
	put_span(to, (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)});
}

/* "key": n */
static inline void put_pair(struct sendq *to, const char *key, uint64_t n)
{
	put_text(to, key);
	put_uint(to, n);
}

#endif
