/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/core.h"

#include "daemon/core/call.h"

#include <assert.h>

void core_init(struct core *core, const struct core_ops *ops, const struct core_limits *limits)
{
	*core = (struct core){.ops = ops, .limits = *limits, .epoch = 1};
	TAILQ_INIT(&core->pools);
}

void core_free(struct core *core)
{
	assert(TAILQ_EMPTY(&core->pools));
	idmap_free(&core->pools_by_name);
	call_free_spare(core);
	timers_free(&core->timers);
}
