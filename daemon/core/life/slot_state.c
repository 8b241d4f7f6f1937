/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/slot_state.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/lease_end.h"
#include "daemon/core/calls/withdraw.h"
#include "daemon/core/life/lost.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/dispatch/to_worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define START_BURST 64.0 /* a pool's budget of starts after workers have ended: this number, and twice the pool's size */
#define START_RATE  20.0 /* starts that the budget gets back in a second */

#define TRIAL_DELAY     (100 * MILLISECOND) /* before an instance is tried again that has refused a task; doubles */
#define TRIAL_DELAY_MAX (10 * SECOND)

#define SLOW_END "it did not end within stop_timeout"

static struct core *core_of(const struct slot *slot)
{
	return slot->pool->core;
}

void slot_set_timer(struct slot *slot, uint64_t after)
{
	struct core *core = core_of(slot);

	if (after == NEVER)
		timer_clear(&core->timers, &slot->timer); /* the timer of max_age must not be taken for that of stop_timeout */
	else
		timer_set(&core->timers, &slot->timer, core->now + after);
}

static bool is_ending(const struct slot *slot)
{
	return slot->plan != PLAN_STAY || slot->pool->leaving || slot->pool->core->draining;
}

void slot_set_state(struct slot *slot, enum slot_state state)
{
	struct core *core = core_of(slot);

	timer_clear(&core->timers, &slot->timer);
	slot->aged = false;
	if (slot->state == SLOT_STARTING && state == SLOT_READY)
		slot->pool->start_took = core->now - slot->since;
	slot->state = state;
	slot->since = core->now;
	switch (state) {
	case SLOT_WAITING:
		break;
	case SLOT_STARTING:
		slot_set_timer(slot, slot->pool->settings.start_timeout);
		break;
	case SLOT_READY:
		slot->idle_since = core->now;
		if (is_ending(slot))
			slot_expect_end(slot);
		else
			slot_set_timer(slot, slot->pool->settings.max_age);
		break;
	case SLOT_STOPPING:
		slot_set_timer(slot, slot->pool->settings.stop_timeout);
		break;
	case SLOT_GONE:
		break;
	}
	slot_relist(slot);
	core->ops->slot_changed(slot);
}

/* ---- starting ---- */

void slot_set_broken(struct slot *slot, bool broken)
{
	if (slot->broken == broken)
		return;
	slot->broken = broken;
	if (!slot->cut_off) /* only slots that are in pool->slots count */
		slot->pool->broken += broken ? 1 : UINT32_MAX;
}

/*
 * Spends one of the starts that the pool may make after workers have ended. Spent starts come back at START_RATE. Returns 0, or
 * the nanoseconds until there is a start to spend.
 */
static uint64_t spend_start(struct pool *pool)
{
	const uint64_t now = pool->core->now;
	const double most = START_BURST + 2.0 * pool->size;
	const double back = (double)(now - pool->spent_at) / (double)SECOND * START_RATE;

	pool->spent = pool->spent > back ? pool->spent - back : 0;
	pool->spent_at = now;
	if (pool->spent + 1 > most)
		return (uint64_t)((pool->spent + 1 - most) / START_RATE * (double)SECOND) + 1;
	pool->spent += 1;
	return 0;
}

/* Starts a worker, or sets the timer when the budget is spent. Only a start that follows an end needs the budget: a slot's
 * first worker and a successor have been asked for. */
void slot_start(struct slot *slot)
{
	const bool follows = slot->generation > 0 && !slot->predecessor;
	const uint64_t wait = follows ? spend_start(slot->pool) : 0;

	if (wait) {
		core_trace(core_of(slot), slot->pool, slot, "starts in %.3f s: the pool's budget of starts is spent",
			   (double)wait / (double)SECOND);
		slot_set_timer(slot, wait);
		return;
	}
	if (!slot->predecessor)
		slot->cause = NULL;
	slot->generation++;
	slot->pool->counts.starts++;
	core_trace(core_of(slot), slot->pool, slot, "a worker is started, generation %llu%s",
		   (unsigned long long)slot->generation, slot->predecessor ? ", beside the one that serves" : "");
	slot->killed = false;
	slot->runs_slow = false;
	slot->silent = false;
	slot->refuses = false;
	slot->refuses_for = 0;
	timer_clear(&core_of(slot)->timers, &slot->trial);
	slot->unsent = 0;
	slot->told_start = false;
	slot->no_successor = false;
	slot->tasks = 0;
	slot->leases_asked = 0;
	slot->reason[0] = slot->replaying[0] = '\0';
	slot_set_state(slot, SLOT_STARTING);
	core_of(slot)->ops->slot_start(slot);
}

void slot_start_after(struct slot *slot, uint64_t delay)
{
	slot_set_state(slot, SLOT_WAITING);
	if (delay)
		slot_set_timer(slot, delay);
	else
		slot_start(slot);
}

/* ---- an instance that is to end ---- */

void slot_expect_end(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->killed)
		return;
	slot->aged = false;                   /* the new instance needs no successor */
	core_of(slot)->ops->slot_nudge(slot); /* so that board->nudged shows whether the worker reacts */
	slot_set_timer(slot, slot->pool->settings.stop_timeout);
}

static bool is_waited_for(const struct slot *slot)
{
	const struct batch *batch;

	TAILQ_FOREACH(batch, &slot->handed, link)
		if (batch_is_wanted(batch))
			return true;
	return slot_is_at_work(slot); /* what is put off and not wanted has been given up */
}

/* Has the worker seen the last nudge, and begun the tasks and replayed calls that it was given? */
static bool reacts(const struct slot *slot)
{
	const struct batch *first = TAILQ_FIRST(&slot->handed);

	if (atomic_load(&slot->board->nudged) != atomic_load(&slot->board->nudge))
		return false;
	if (first ? board_state(slot->board, first->id) != BOARD_HANDED : !replay_is_due(&slot->replay))
		return true;
	return core_of(slot)->now - slot->heard < slot->pool->settings.stop_timeout;
}

/* stop_timeout has passed since slot_expect_end: kills the worker if it does not react, or if its pool is leaving and nobody
 * waits for its tasks. Any other worker gets another stop_timeout. */
static void on_end_due(struct slot *slot)
{
	const bool has_work = slot->handed_count > 0 || slot->directs_count > 0 || slot_is_at_work(slot);
	const bool in_vain = slot->pool->leaving && has_work && !is_waited_for(slot);
	const bool busy = has_work || replay_is_due(&slot->replay);

	if (in_vain || (busy && !reacts(slot)))
		slot_kill(slot, SLOW_END);
	else
		slot_expect_end(slot);
}

static void on_age(struct slot *slot)
{
	const uint64_t most = slot->pool->settings.max_age, age = core_of(slot)->now - slot->since;

	if (age < most) {
		slot->aged = false;
		slot_set_timer(slot, most == NEVER ? NEVER : most - age);
		return;
	}
	slot->aged = true;
	pool_wake(slot->pool);
}

void slot_on_settings(struct slot *slot)
{
	slot_relist(slot); /* max_calls may have changed */
	if (slot->state == SLOT_READY && !is_ending(slot))
		on_age(slot);
}

static void on_start_due(struct slot *slot)
{
	char reason[200];

	if (slot->replaying[0])
		snprintf(reason, sizeof reason, "the sticky call of %s, replayed, took longer than %.3g s (see start_timeout)",
			 slot->replaying, (double)slot->patience / (double)SECOND);
	else
		snprintf(reason, sizeof reason, "the constructor took longer than start_timeout");
	slot_kill(slot, reason);
}

static void on_timer(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, timer);

	switch (slot->state) {
	case SLOT_WAITING:
		slot_start(slot);
		break;
	case SLOT_STARTING:
		on_start_due(slot);
		break;
	case SLOT_STOPPING:
		slot_kill(slot, SLOW_END);
		break;
	case SLOT_READY: /* max_age; stop_timeout when the instance is to end */
		if (is_ending(slot))
			on_end_due(slot);
		else
			on_age(slot);
		break;
	case SLOT_GONE:
		break;
	}
}

static void on_grace(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, grace);

	if (slot->state == SLOT_READY && withdraw_grace_is_used(slot))
		slot_kill(slot, "a cancelled call did not end within cancel_grace");
}

/* A task that was put off has been given up: does the class's `ready`, in which it may run, go on since then? */
static void on_step_grace(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, step_grace);
	const uint64_t given_up = slot->given_up;

	slot->given_up = 0;
	if (slot->state != SLOT_READY || slot->killed)
		return;
	const uint64_t step = atomic_load(&slot->board->step);
	if (step && (slot->step ? step == slot->step : step <= given_up + SCHEDULER_SILENCE))
		slot_kill(slot, "a call that was put off has been cancelled, and the instance has not come to end it within "
				"cancel_grace");
}

/* ---- an instance that refuses tasks ---- */

static void end_refusal(struct slot *slot)
{
	slot->refuses = false;
	timer_clear(&core_of(slot)->timers, &slot->trial);
	slot_relist(slot);
}

static void on_trial(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, trial);

	end_refusal(slot);
	pool_wake(slot->pool);
}

void slot_on_refusal(struct slot *slot)
{
	struct core *core = core_of(slot);
	const uint64_t twice = 2 * slot->refuses_for;

	slot->refuses_for = twice < TRIAL_DELAY ? TRIAL_DELAY : twice < TRIAL_DELAY_MAX ? twice : TRIAL_DELAY_MAX;
	slot->refuses = true;
	core_trace(core, slot->pool, slot, "it has refused a task for want of memory: others are preferred for %.3f s",
		   (double)slot->refuses_for / (double)SECOND);
	timer_set(&core->timers, &slot->trial, core->now + slot->refuses_for);
	slot_relist(slot);
}

void slot_on_work(struct slot *slot)
{
	slot->refuses_for = 0;
	if (slot->refuses)
		end_refusal(slot);
}

/* Frees the slot, but not the supervisor's struct for it. Returns NULL. */
static struct slot *free_inside(struct slot *slot)
{
	struct timers *timers = &core_of(slot)->timers;

	timer_close(timers, &slot->timer);
	timer_close(timers, &slot->grace);
	timer_close(timers, &slot->trial);
	timer_close(timers, &slot->step_grace);
	sendq_clear(&slot->out);
	sendq_clear(&slot->later);
	idmap_free(&slot->bound);
	idmap_free(&slot->by_tag);
	queue_free(&slot->queue);
	free(slot);
	return NULL;
}

void slot_delete(struct slot *slot)
{
	core_of(slot)->ops->slot_free(slot);
	(void)free_inside(slot);
}

static void reap(struct ending *ending)
{
	struct slot *slot = container_of(ending, struct slot, ending);
	struct pool *pool = slot->pool;

	assert(!slot->nested.on);
	TAILQ_REMOVE(&pool->detached, slot, link);
	slot_delete(slot);
	pool_reap_later(pool);
}

struct slot *slot_new(struct pool *pool, uint32_t index)
{
	const struct core_ops *ops = pool->core->ops;
	struct timers *timers = &pool->core->timers;
	struct slot *slot = calloc(1, sizeof *slot);

	if (!slot)
		return NULL;
	slot->ending.reap = reap;
	slot->pool = pool;
	slot->index = index;
	slot->out.account = slot->later.account = &pool->core->memory;
	slot->since = pool->core->now;
	TAILQ_INIT(&slot->handed);
	TAILQ_INIT(&slot->deferred);
	TAILQ_INIT(&slot->directs);
	queue_init(&slot->queue, pool, &pool->waiting, &pool->paused, &slot->turns);
	if (timer_open(timers, &slot->timer, on_timer) < 0 || timer_open(timers, &slot->grace, on_grace) < 0 ||
	    timer_open(timers, &slot->trial, on_trial) < 0 || timer_open(timers, &slot->step_grace, on_step_grace) < 0)
		return free_inside(slot);
	return ops->slot_made && ops->slot_made(slot) < 0 ? free_inside(slot) : slot;
}

void slot_finish(struct slot *slot)
{
	slot_set_state(slot, SLOT_GONE);
	core_reap_later(core_of(slot), &slot->ending);
}

/* ---- ending ---- */

void slot_stop(struct slot *slot, bool want_state)
{
	core_trace(core_of(slot), slot->pool, slot, "the worker is told to stop%s",
		   want_state ? ", and asked for its state" : "");
	lost_deferred(slot);
	to_worker_stop(slot, want_state);
	slot_set_state(slot, SLOT_STOPPING);
}

void slot_cut_off(struct slot *slot)
{
	lease_on_slot_removed(slot);
	slot->plan = PLAN_LEAVE;
	slot_relist(slot);
	slot_set_broken(slot, false);
	slot->cut_off = true;
	TAILQ_INSERT_TAIL(&slot->pool->detached, slot, link);
}

void slot_end(struct slot *slot)
{
	slot->plan = PLAN_LEAVE;
	switch (slot->state) {
	case SLOT_WAITING:
		slot_finish(slot);
		break;
	case SLOT_STARTING:
		slot_kill(slot, "the slot was removed");
		break;
	case SLOT_READY:
		slot_stop(slot, false);
		break;
	case SLOT_STOPPING:
	case SLOT_GONE:
		break;
	}
}
