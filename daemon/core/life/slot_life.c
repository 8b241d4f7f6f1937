/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/slot_life.h"

#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease_end.h"
#include "daemon/core/life/lost.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/life/slot_state.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/core/life/successor.h"
#include "daemon/core/dispatch/to_worker.h"

#include <errno.h>
#include <stdio.h>

#define GOOD_LIFE (10 * SECOND)               /* a worker that lived so long did not die young */
#define DEATH_DELAY (10 * MILLISECOND)        /* before the start that follows a second young death; doubles */
#define DEATH_DELAY_MAX (1 * SECOND)
#define FAILURE_DELAY (100 * MILLISECOND)     /* after a constructor that failed; doubles */
#define FAILURE_DELAY_MAX (30 * SECOND)

/* ---- what a slot does next ---- */

static void stop_if_done(struct slot *slot)
{
	if (slot->plan != PLAN_STAY && slot->state == SLOT_READY)
		direct_close_all(slot, slot->plan == PLAN_RETIRE ? "replaced" : "removed", 0);
	const bool waits = replay_is_due(&slot->replay) || slot_is_at_work(slot) ||
			   (slot->plan == PLAN_LEAVE && slot->queue.count > 0);
	if (slot->plan == PLAN_STAY || slot->state != SLOT_READY || slot->handed_count > 0 || slot->directs_count > 0 || waits)
		return;
	const bool want_state = slot->plan == PLAN_RETIRE && slot->pool->has_snapshot;
	slot_stop(slot, want_state);
	if (slot->plan == PLAN_RETIRE && !want_state)
		successor_take_place(slot->successor, (struct span){0}, NULL);
}

/* Nobody has leased the slot or waits for a lease, and nothing may have to replace its instance. */
static bool only_runs_tasks(const struct slot *slot)
{
	return !slot->leased && slot->pool->leases_waiting == 0 && !slot->aged && !slot->successor &&
	       slot->pool->settings.max_calls == 0;
}

void slot_step(struct slot *slot)
{
	if (!only_runs_tasks(slot)) {
		lease_release_if_unneeded(slot);
		successor_begin_or_retire(slot); /* it may have waited for the end of the lease */
		lease_serve(slot);
	}
	scheduler_pull(slot);
	stop_if_done(slot);
}

uint64_t slot_restart(struct slot *slot, const char *cause)
{
	switch (slot->state) {
	case SLOT_WAITING:
		slot->delay = 0;
		slot->died_young = false;
		slot_start_after(slot, 0);
		return slot->state == SLOT_STARTING ? slot->generation : slot->generation + 1;
	case SLOT_STARTING:
		return slot->generation;
	case SLOT_READY:
		(void)successor_begin(slot, cause);
		break;
	case SLOT_STOPPING:
	case SLOT_GONE:
		break;
	}
	return slot->generation + 1;
}

void slot_leave(struct slot *slot)
{
	if (slot->successor)
		successor_discard(slot->successor);
	slot_cut_off(slot);
	if (slot->state == SLOT_READY) {
		timer_clear(&slot->pool->core->timers, &slot->timer); /* max_age */
		slot_expect_end(slot);
		slot_step(slot);
		return;
	}
	lost_by_removal(slot);
	slot_end(slot);
}

/* ---- a worker comes up ---- */

void slot_on_connected(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs)
{
	if (slot->predecessor && !slot->pool->has_snapshot)
		successor_take_sticky(slot);
	to_worker_start(slot, supervisor_pid, args, kwargs, slot_kwargs);
}

/* Sets the time that the sticky call may take. A call may be slower than start_timeout when a client makes it: so a replayed
 * call gets twice its longest time. */
static void be_patient(struct slot *slot, struct span method)
{
	const uint64_t least = slot->pool->settings.start_timeout, twice = 2 * sticky_longest(slot->pool, method);

	snprintf(slot->replaying, sizeof slot->replaying, "%.*s", SPAN_TEXT(method, sizeof slot->replaying - 1));
	error_make_utf8(slot->replaying, strlen(slot->replaying));
	slot->patience = twice > least ? twice : least;
	timer_clear(&slot->pool->core->timers, &slot->timer);
	slot_set_timer(slot, slot->patience);
}

/* If the worker is ready, and has nothing to replay or to restore, it may get tasks. */
static void open_to_tasks(struct slot *slot)
{
	if (replay_is_due(&slot->replay) || slot->state != SLOT_READY)
		return;
	slot_relist(slot);
	pool_wake(slot->pool);
}

int slot_on_replaying(struct slot *slot, struct span method)
{
	if (slot->killed)
		return 0;
	if (slot->state == SLOT_STARTING)
		be_patient(slot, method);
	else if (slot->replay.ahead == 0)
		return -EBADMSG;
	if (replay_on_begun(&slot->replay)) {
		to_worker_portion(slot);
		open_to_tasks(slot);
	}
	return 0;
}

void slot_on_restored(struct slot *slot, bool failed)
{
	slot->replay.restoring = false;
	if (failed && slot->replay.until > 0) {
		const uint64_t until = slot->replay.until;
		replay_begin(slot, 0);
		slot->replay.until = until; /* the calls that came since then wait as tasks */
		to_worker_portion(slot);
	}
	open_to_tasks(slot);
}

void slot_on_ready(struct slot *slot)
{
	slot->failures = 0;
	slot->pool->reason[0] = '\0';
	slot_set_broken(slot, false);
	slot_set_state(slot, SLOT_READY);
	if (slot->predecessor) {
		slot_step(slot->predecessor);
		return;
	}
	slot->pool->counts.restarts += slot->served;
	slot->served = true;
	lease_serve(slot);
	scheduler_pull(slot);
	scheduler_run(slot->pool);
	stop_if_done(slot);
}

/* ---- a worker has died ---- */

static uint64_t double_delay(uint64_t delay, uint64_t first, uint64_t most)
{
	if (delay < first)
		return first;
	return delay > most / 2 ? most : 2 * delay;
}

static void on_start_failed(struct slot *slot, int status, const char *reason)
{
	slot_describe_start(slot, status, reason);
	slot_note_failure(slot, "%s", slot->reason);
	snprintf(slot->pool->reason, sizeof slot->pool->reason, "slot %u: %s", slot->index, slot->reason);
	slot->failures++;
	slot->pool->counts.failed_starts++;
	slot->delay = double_delay(slot->failures == 1 ? 0 : slot->delay, FAILURE_DELAY, FAILURE_DELAY_MAX);
	slot_set_broken(slot, true);
	lost_by_broken(slot);
	lease_on_broken(slot->pool);
}

static void on_died(struct slot *slot, int status, uint64_t lived)
{
	char how[sizeof slot->last_failure];

	slot->restarts++;
	slot->pool->counts.deaths++;
	slot_describe_end(slot, status, how, sizeof how);
	slot_note_failure(slot, "%s", how);
	if (lived >= GOOD_LIFE)
		slot->delay = 0;
	else if (slot->delay > 0 || slot->died_young)
		slot->delay = double_delay(slot->delay, DEATH_DELAY, DEATH_DELAY_MAX);
	slot->died_young = lived < GOOD_LIFE;
}

void slot_on_gone(struct slot *slot, int status, const char *reason)
{
	struct pool *pool = slot->pool;
	const enum slot_state was = slot->state;
	const uint64_t lived = slot->pool->core->now - slot->since;
	struct error lost;

	lost_say_why(slot, status, RAN_MAYBE, &lost);
	direct_on_worker_gone(slot, &lost);
	timer_clear(&slot->pool->core->timers, &slot->grace);
	timer_clear(&slot->pool->core->timers, &slot->step_grace);
	slot->given_up = 0;
	sendq_clear(&slot->out);
	sendq_clear(&slot->later);
	idmap_free(&slot->bound);
	replay_end(slot);
	slot_set_state(slot, SLOT_WAITING);
	nested_end(slot);
	lease_on_worker_gone(slot);
	lost_with_worker(slot, status);
	if (slot->successor)
		successor_take_place(slot->successor, (struct span){0}, NULL);
	if (slot->predecessor) {
		pool->counts.failed_starts += was == SLOT_STARTING;
		slot_describe_start(slot, status, reason);
		successor_on_failed(slot);
	} else if (slot->plan == PLAN_LEAVE) {
		lost_by_removal(slot);
		slot_finish(slot);
	} else {
		if (was == SLOT_STARTING)
			on_start_failed(slot, status, reason);
		else if (was == SLOT_READY)
			on_died(slot, status, lived);
		core_trace(pool->core, pool, slot, "the next worker follows in %.3f s", (double)slot->delay / (double)SECOND);
		slot_start_after(slot, slot->delay);
	}
	scheduler_run(pool); /* another slot may do the tasks that have come back */
}
