/* SPDX-License-Identifier: Apache-2.0 */
/* label: the option `labels`: a result of all and scatter is [host, slot, result]. */
#ifndef CORE_LABEL_H
#define CORE_LABEL_H

#include "daemon/core/records/remote.h"
#include "proto/pack.h"

/* Writes what stands before the result of that slot: the result follows. The host is nil where this one is in no cluster. */
static inline void label_put(struct sendq *to, const struct core *core, uint64_t slot)
{
	const struct span host = core->remote ? core->remote->self : (struct span){0};
	uint8_t *p = sendq_reserve(to, 2 * PACK_HEAD + PACK_UINT);

	if (!p)
		return;
	sendq_commit(to, (size_t)((host.size > 0 ? pack_str_head(pack_array(p, 3), (uint32_t)host.size)
						 : pack_nil(pack_array(p, 3))) - p));
	sendq_copy(to, host.bytes, host.size);
	p = sendq_reserve(to, PACK_UINT);
	if (p)
		sendq_commit(to, (size_t)(pack_uint(p, slot) - p));
}

#endif
