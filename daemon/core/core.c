/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/core.h"

#include "daemon/core/call.h"

#include <assert.h>
#include <errno.h>

void core_init(struct core *core, const struct core_ops *ops, const struct core_limits *limits)
{
	*core = (struct core){.ops = ops, .epoch = 1};
	core_set_limits(core, limits);
	core->lasting = account_new(&core->memory);
	TAILQ_INIT(&core->pools);
}

void core_set_limits(struct core *core, const struct core_limits *limits)
{
	core->limits = *limits;
	core->memory.limit = limits->max_memory;
}

void core_end_event(struct core *core)
{
	struct ending *ending;

	while ((ending = core->endings)) {
		void (*reap)(struct ending *) = ending->reap;
		core->endings = ending->next;
		ending->reap = NULL; /* it may be listed again, also by its own reap */
		reap(ending);
	}
}

int core_may_last(struct core *core, struct error *error)
{
	if (account_may_keep(core->lasting))
		return 0;
	core->memory_refused++;
	error_say(error, ERROR_OVERLOADED, RAN_NO,
		  "pools keep %llu bytes of sticky calls and arguments, which is all that max_memory = %llu allows",
		  (unsigned long long)core->lasting->used, (unsigned long long)core->memory.limit);
	return -ENOSPC;
}

void core_free(struct core *core)
{
	core_end_event(core);
	assert(TAILQ_EMPTY(&core->pools));
	idmap_free(&core->pools_by_name);
	call_free_spare(core);
	timers_free(&core->timers);
	account_close(core->lasting);
}
