/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/core.h"

#include "daemon/core/call.h"

#include <assert.h>

void core_init(struct core *core, const struct core_ops *ops, const struct core_limits *limits)
{
	*core = (struct core){.ops = ops, .epoch = 1};
	core_set_limits(core, limits);
	TAILQ_INIT(&core->pools);
}

void core_set_limits(struct core *core, const struct core_limits *limits)
{
	core->limits = *limits;
	core->memory.limit = limits->max_memory;
}

void core_free(struct core *core)
{
	assert(TAILQ_EMPTY(&core->pools));
	idmap_free(&core->pools_by_name);
	call_free_spare(core);
	timers_free(&core->timers);
}
