/* SPDX-License-Identifier: Apache-2.0 */
/* put: msgpack written to a send queue. Without memory the queue has failed (sendq.h), and nobody needs to ask. */
#ifndef CORE_PUT_H
#define CORE_PUT_H

#include "proto/read.h"
#include "proto/sendq.h"

/* A packed value, which lies in the block. An empty span stands for nil. */
void put_value(struct sendq *out, struct block *block, struct span value);

void put_uints(struct sendq *out, const uint64_t *values, unsigned count);
void put_text(struct sendq *out, const void *text, size_t size);

/* The heads of arrays and maps. */
void put_array(struct sendq *out, uint32_t count);
void put_map(struct sendq *out, uint32_t count);

#endif
