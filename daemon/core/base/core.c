/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/core.h"

#include "daemon/core/base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

void core_say(const struct core *core, const struct pool *pool, const struct slot *slot, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list);
	va_end(list);
	core->trace(pool, slot, text);
}

void core_end_event(struct core *core)
{
	struct ending *ending;

	while ((ending = core->endings)) {
		core->endings = ending->next;
		ending->listed = false; /* it may be listed again, also by its own reap */
		ending->reap(ending);
	}
}

int core_check_lasting(struct core *core, struct error *error)
{
	if (account_may_keep(core->lasting))
		return 0;
	core->memory_refused++;
	error_say(error, ERROR_OVERLOADED, RAN_NO,
		  "pools keep %llu bytes of sticky calls and arguments, which is all that max_memory = %llu allows",
		  (unsigned long long)core->lasting->used, (unsigned long long)core->memory.limit);
	return -ENOSPC;
}

static void free_spare_calls(struct core *core)
{
	struct spare_call *spare;

	while ((spare = core->spare_calls)) {
		core->spare_calls = spare->next;
		free(spare);
	}
}

void core_free(struct core *core)
{
	core_end_event(core);
	assert(TAILQ_EMPTY(&core->pools));
	idmap_free(&core->pools_by_name);
	assert(core->quotas_by_name.count == 0);
	idmap_free(&core->quotas_by_name);
	free_spare_calls(core);
	timers_free(&core->timers);
	account_close(core->lasting);
}
