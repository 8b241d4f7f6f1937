/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/sweep.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/life/successor.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/connections/memory.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker.h"

/* Instances over max_rss are replaced, one of a pool at a time, and none that is so large from the start. */
static void recycle_large(struct pool *pool)
{
	const struct template *template = template_of(pool);
	const uint64_t most = template->section.max_rss;

	if (most == 0 || pool->leaving)
		return;
	for (uint32_t i = 0; i < pool->size; i++) {
		struct slot *slot = pool->slots[i];
		if (slot->state != SLOT_READY || slot->tasks == 0 || pool->core->now - slot->since < SECOND ||
		    procfs_read(slot->pid).own <= most)
			continue;
		if (!slot->successor && successor_recycle(slot, "max_rss"))
			log_slot(LOG_INFO, slot, "over max_rss: a successor is built");
		return;
	}
}

void sweep(struct daemon *daemon)
{
	struct session *session, *next;
	struct pool *pool;

	direct_take_all_counts(&daemon->core);
	for (session = TAILQ_FIRST(&daemon->sessions); session; session = next) {
		next = TAILQ_NEXT(session, link);
		session_sweep(session);
	}
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		recycle_large(pool);
	memory_sweep(daemon);
	if (daemon->state != DAEMON_RUNNING)
		systemd_status(daemon); /* how many calls are left */
	payload_trim(&daemon->payloads);
	loans_trim(&daemon->loans);
	keeper_tidy(daemon->keeper);
}
