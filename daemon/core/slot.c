/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/slot.h"

#include "daemon/core/call_answer.h"
#include "daemon/core/deferral.h"
#include "daemon/core/from_worker.h"
#include "daemon/core/lease.h"
#include "daemon/core/nested.h"
#include "daemon/core/pool.h"
#include "daemon/core/scheduler.h"
#include "daemon/core/successor.h"
#include "daemon/core/to_worker.h"
#include "daemon/core/yield.h"
#include "proto/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define GOOD_LIFE (10 * SECOND)               /* a worker that lived so long did not die young */
#define DEATH_DELAY (10 * MILLISECOND)        /* before the second young death's successor; doubles */
#define DEATH_DELAY_MOST (1 * SECOND)
#define FAILURE_DELAY (100 * MILLISECOND)     /* after a constructor that failed; doubles */
#define FAILURE_DELAY_MOST (30 * SECOND)
#define START_BURST 64.0                      /* the pool's budget of starts that follow an end: this, and twice its size */
#define START_RATE 20.0                       /* starts that the budget gets back in a second */

enum { RETURNS_MOST = 3 }; /* of a batch: one that no worker can take in must not kill one after the other */

#define SLOW_END "it did not end within stop_timeout"

static const char *const state_names[] = {
	[SLOT_WAITING] = "waiting",   [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
	[SLOT_STOPPING] = "stopping", [SLOT_GONE] = "gone"};

const char *slot_state_name(enum slot_state state)
{
	return state_names[state];
}

static struct core *core_of(const struct slot *slot)
{
	return slot->pool->core;
}

static void set_timer(struct slot *slot, uint64_t after)
{
	struct core *core = core_of(slot);

	if (after == NEVER)
		timer_clear(&core->timers, &slot->timer); /* it may be set for another purpose: max_age's must not end as stop_timeout's */
	else
		timer_set(&core->timers, &slot->timer, core->now + after);
}

static bool is_ending(const struct slot *slot)
{
	return slot->plan != PLAN_STAY || slot->pool->leaving || slot->pool->core->draining;
}

static void set_state(struct slot *slot, enum slot_state state)
{
	struct core *core = core_of(slot);

	timer_clear(&core->timers, &slot->timer);
	slot->state = state;
	slot->since = core->now;
	switch (state) {
	case SLOT_WAITING:
		break;
	case SLOT_STARTING:
		set_timer(slot, slot->pool->settings.start_timeout);
		break;
	case SLOT_READY:
		slot->idle_since = core->now;
		if (is_ending(slot))
			slot_expect_end(slot);
		else
			set_timer(slot, slot->pool->settings.max_age);
		break;
	case SLOT_STOPPING:
		set_timer(slot, slot->pool->settings.stop_timeout);
		break;
	case SLOT_GONE:
		break;
	}
	scheduler_relist(slot);
	core->ops->slot_changed(slot);
}

void slot_fill_place(const struct slot *slot, struct error *error)
{
	error->pool = slot->pool->name;
	error->slot = slot->index;
	error->generation = slot->generation;
}

void slot_unavailable(const struct slot *slot, struct error *error)
{
	error_say(error, ERROR_UNAVAILABLE, RAN_NO, "pool %s slot %u has no instance: %s", slot->pool->name, slot->index,
		  slot->last_failure);
	slot_fill_place(slot, error);
}

/* ---- starting ---- */

static void set_broken(struct slot *slot, bool broken)
{
	if (slot->broken == broken)
		return;
	slot->broken = broken;
	if (!slot->cut_off) /* only those that count in the pool's size */
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
static void start(struct slot *slot)
{
	const bool follows = slot->generation > 0 && !slot->predecessor;
	const uint64_t wait = follows ? spend_start(slot->pool) : 0;

	if (wait) {
		core_trace(core_of(slot), slot->pool, slot, "starts in %.3f s: the pool's budget of starts is spent",
			   (double)wait / (double)SECOND);
		set_timer(slot, wait);
		return;
	}
	slot->generation++;
	slot->pool->counts.starts++;
	core_trace(core_of(slot), slot->pool, slot, "a worker is started, generation %llu%s", (unsigned long long)slot->generation,
		   slot->predecessor ? ", beside the one that serves" : "");
	slot->killed = false;
	slot->closed = false;
	slot->silent = false;
	slot->unsent = 0;
	slot->told_start = false;
	slot->no_successor = false;
	slot->tasks = 0;
	slot->leases_asked = 0;
	slot->fault[0] = slot->replaying[0] = '\0';
	set_state(slot, SLOT_STARTING);
	core_of(slot)->ops->slot_start(slot);
}

static void start_after(struct slot *slot, uint64_t delay)
{
	set_state(slot, SLOT_WAITING);
	if (delay)
		set_timer(slot, delay);
	else
		start(slot);
}

void slot_kill(struct slot *slot, const char *why)
{
	if (!slot->fault[0]) /* else the first reason stays */
		snprintf(slot->fault, sizeof slot->fault, "%s", why);
	slot->killed = true;
	core_trace(core_of(slot), slot->pool, slot, "the worker is killed: %s", slot->fault);
	scheduler_relist(slot);
	core_of(slot)->ops->slot_kill(slot);
}

/* ---- an instance that is to end ---- */

void slot_expect_end(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->killed)
		return;
	core_of(slot)->ops->slot_nudge(slot); /* so that board->nudged shows whether the worker reacts */
	set_timer(slot, slot->pool->settings.stop_timeout);
}

static bool is_waited_for(const struct slot *slot)
{
	const struct batch *batch;

	TAILQ_FOREACH(batch, &slot->handed, link)
		if (!batch->call->answered)
			return true;
	return false;
}

/* Has the worker seen the last nudge, and begun what it has been given, or has to replay? */
static bool reacts(const struct slot *slot)
{
	const struct batch *first = TAILQ_FIRST(&slot->handed);

	if (atomic_load(&slot->board->nudged) != atomic_load(&slot->board->nudge))
		return false;
	if (first ? board_state(slot->board, first->id) != BOARD_HANDED : !replay_is_due(&slot->replay))
		return true;
	return core_of(slot)->now - slot->heard < slot->pool->settings.stop_timeout;
}

/* stop_timeout has passed since slot_expect_end: kills a worker that does not react, or that only does what nobody waits for
 * while its pool is leaving. Any other worker gets another stop_timeout. */
static void on_end_due(struct slot *slot)
{
	const bool in_vain = slot->pool->leaving && slot->handed_count > 0 && !is_waited_for(slot);
	const bool busy = slot->handed_count > 0 || replay_is_due(&slot->replay);

	if (in_vain || (busy && !reacts(slot)))
		slot_kill(slot, SLOW_END);
	else
		slot_expect_end(slot);
}

static void on_age(struct slot *slot)
{
	const uint64_t most = slot->pool->settings.max_age, age = core_of(slot)->now - slot->since;

	if (age < most)
		set_timer(slot, most == NEVER ? NEVER : most - age);
	else if (!successor_recycle(slot))
		set_timer(slot, SECOND);
}

static void on_start_due(struct slot *slot)
{
	char why[200];

	if (slot->replaying[0])
		snprintf(why, sizeof why, "the sticky call of %s, replayed, took longer than %.3g s (see start_timeout)",
			 slot->replaying, (double)slot->patience / (double)SECOND);
	else
		snprintf(why, sizeof why, "the constructor took longer than start_timeout");
	slot_kill(slot, why);
}

static void on_timer(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, timer);

	switch (slot->state) {
	case SLOT_WAITING:
		start(slot);
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
	const struct batch *batch = slot->by_id[slot->grace_batch % BOARD_ENTRIES];
	if (batch && batch->id == slot->grace_batch && slot->state == SLOT_READY)
		slot_kill(slot, "a cancelled call did not end within cancel_grace");
}

/* Frees the slot, but not the supervisor's side of it. Returns NULL. */
static struct slot *free_inside(struct slot *slot)
{
	struct timers *timers = &core_of(slot)->timers;

	timer_close(timers, &slot->timer);
	timer_close(timers, &slot->grace);
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

static void slot_reap(struct ending *ending)
{
	struct slot *slot = container_of(ending, struct slot, ending);
	struct pool *pool = slot->pool;

	TAILQ_REMOVE(&pool->others, slot, link);
	nested_end(slot);
	slot_delete(slot);
	pool_on_ended(pool);
}

struct slot *slot_new(struct pool *pool, uint32_t index)
{
	const struct core_ops *ops = pool->core->ops;
	struct timers *timers = &pool->core->timers;
	struct slot *slot = calloc(1, sizeof *slot);

	if (!slot)
		return NULL;
	slot->ending.reap = slot_reap;
	slot->pool = pool;
	slot->index = index;
	slot->out.account = slot->later.account = &pool->core->memory;
	slot->since = pool->core->now;
	TAILQ_INIT(&slot->handed);
	TAILQ_INIT(&slot->deferred);
	queue_init(&slot->queue, pool, &pool->waiting);
	if (timer_open(timers, &slot->timer, on_timer) < 0 || timer_open(timers, &slot->grace, on_grace) < 0)
		return free_inside(slot);
	return ops->slot_made && ops->slot_made(slot) < 0 ? free_inside(slot) : slot;
}

void slot_begin(struct slot *slot)
{
	start(slot);
}

void slot_finish(struct slot *slot)
{
	set_state(slot, SLOT_GONE);
	core_reap_later(core_of(slot), &slot->ending);
}

/* ---- ending ---- */

static void stop_worker(struct slot *slot, bool want_state)
{
	core_trace(core_of(slot), slot->pool, slot, "the worker is told to stop%s", want_state ? ", and asked for its state" : "");
	deferral_end_all(slot);
	to_worker_stop(slot, want_state);
	set_state(slot, SLOT_STOPPING);
}

static void stop_if_done(struct slot *slot)
{
	const bool waits = replay_is_due(&slot->replay) || (slot->plan == PLAN_LEAVE && slot->queue.count > 0);
	if (slot->plan == PLAN_STAY || slot->state != SLOT_READY || slot->handed_count > 0 || waits)
		return;
	const bool want_state = slot->plan == PLAN_RETIRE && slot->pool->has_snapshot;
	stop_worker(slot, want_state);
	if (slot->plan == PLAN_RETIRE && !want_state)
		successor_take_place(slot->successor, (struct span){0}, NULL);
}

void slot_look(struct slot *slot)
{
	lease_consider(slot);
	successor_consider(slot); /* what it was leased or waited for may be over */
	scheduler_pull(slot);
	stop_if_done(slot);
}

uint64_t slot_restart(struct slot *slot)
{
	switch (slot->state) {
	case SLOT_WAITING:
		slot->delay = 0;
		start_after(slot, 0);
		return slot->state == SLOT_STARTING ? slot->generation : slot->generation + 1;
	case SLOT_STARTING:
		return slot->generation;
	case SLOT_READY:
		(void)successor_begin(slot);
		break;
	case SLOT_STOPPING:
	case SLOT_GONE:
		break;
	}
	return slot->generation + 1;
}

void slot_cut_off(struct slot *slot)
{
	lease_on_slot_removed(slot);
	slot->plan = PLAN_LEAVE;
	scheduler_relist(slot);
	set_broken(slot, false);
	slot->cut_off = true;
	TAILQ_INSERT_TAIL(&slot->pool->others, slot, link);
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
		stop_worker(slot, false);
		break;
	case SLOT_STOPPING:
	case SLOT_GONE:
		break;
	}
}

void slot_leave(struct slot *slot)
{
	if (slot->successor)
		successor_discard(slot->successor);
	slot_cut_off(slot);
	if (slot->state == SLOT_READY) {
		timer_clear(&core_of(slot)->timers, &slot->timer); /* max_age */
		slot_expect_end(slot);
		slot_look(slot);
		return;
	}
	pool_on_slot_removed(slot->pool, slot);
	slot_end(slot);
}

/* ---- what the worker says ---- */

/* A call has no limit when a client makes it, so a sticky call may be slower than start_timeout: it gets twice its longest
 * time. */
static void be_patient(struct slot *slot, struct span method)
{
	const uint64_t least = slot->pool->settings.start_timeout, twice = 2 * sticky_longest(slot->pool, method);

	snprintf(slot->replaying, sizeof slot->replaying, "%.*s",
		 (int)(method.size < sizeof slot->replaying ? method.size : sizeof slot->replaying - 1),
		 (const char *)method.bytes);
	error_make_utf8(slot->replaying, strlen(slot->replaying));
	slot->patience = twice > least ? twice : least;
	timer_clear(&core_of(slot)->timers, &slot->timer);
	set_timer(slot, slot->patience);
}

/* It has been given the last that it has to do before its first task: it may get tasks. */
static void open_to_tasks(struct slot *slot)
{
	if (replay_is_due(&slot->replay) || slot->state != SLOT_READY)
		return;
	scheduler_relist(slot);
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
		slot->replay.until = until; /* what came since then waits as a task */
		to_worker_portion(slot);
	}
	open_to_tasks(slot);
}

void slot_on_ready(struct slot *slot)
{
	slot->failures = 0;
	slot->pool->fault[0] = '\0';
	set_broken(slot, false);
	set_state(slot, SLOT_READY);
	if (slot->predecessor) {
		successor_on_ready(slot);
		return;
	}
	slot->pool->counts.restarts += slot->served;
	slot->served = true;
	scheduler_pull(slot);
	scheduler_run(slot->pool);
	stop_if_done(slot);
}

int slot_on_message(struct slot *slot, struct span message, struct block *block)
{
	const bool was_silent = slot->silent;

	slot->heard = core_of(slot)->now;
	slot->silent = false;
	if (was_silent)
		scheduler_relist(slot);
	const int r = from_worker_read(slot, message, block);
	if (r < 0) {
		if (!slot->killed)
			slot_kill(slot, r == -ENOMEM ? "the daemon is out of memory" : "it sent what is no message of a worker");
		return r;
	}
	if (r > 0 || was_silent)
		slot_look(slot);
	return 0;
}

bool slot_has_in_hand(const struct batch *batch)
{
	return batch->slot && batch->slot->by_id[batch->id % BOARD_ENTRIES] == batch;
}

void slot_cancel(struct slot *slot, struct batch *batch)
{
	struct core *core = core_of(slot);
	const uint64_t grace = slot->pool->settings.cancel_grace;

	/* The call has been answered, or its client has gone: what the method has committed itself to can reach nobody either. */
	if (!board_move(slot->board, batch->id, BOARD_STARTED, BOARD_CANCELLED) &&
	    !board_move(slot->board, batch->id, BOARD_COMMITTED, BOARD_CANCELLED) && board_state(slot->board, batch->id) != BOARD_CANCELLED)
		return;
	nested_cancel(slot, batch->id);
	yield_cancel(batch);
	if (grace == NEVER)
		return;
	slot->grace_batch = batch->id;
	timer_set(&core->timers, &slot->grace, core->now + grace);
}

void slot_on_session_end(struct slot *slot, uint64_t session)
{
	if (slot->state == SLOT_READY && !slot->killed)
		to_worker_session_end(slot, session);
	else if (slot->successor)
		to_worker_session_end_later(slot->successor, session);
}

/* ---- the worker's death ---- */

void slot_describe_status(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}

void slot_describe_end(const struct slot *slot, int status, char *text, size_t size)
{
	slot_describe_status(status, text, size);
	const size_t n = strlen(text);
	if (slot->fault[0])
		snprintf(text + n, size - n, ": %.*s", (int)(size - n), slot->fault);
}

static void say_lost(struct slot *slot, int status, enum ran ran, struct error *error)
{
	static const char *const ends[] = {
		[RAN_NO] = "the call has not run", [RAN_MAYBE] = "the call may have run", [RAN_YES] = "the call has run"};
	char how[200];

	slot_describe_end(slot, status, how, sizeof how);
	error_say(error, ERROR_WORKER_LOST, ran, "pool %s slot %u: the worker was %s%s; %s", slot->pool->name, slot->index,
		  WIFSIGNALED(status) ? "" : "lost: it ", how, ends[ran]);
	slot_fill_place(slot, error);
	if (WIFSIGNALED(status))
		error->signal = WTERMSIG(status);
	else
		error->exit_status = WEXITSTATUS(status);
}

/* Fails the next task of the batch that has no answer. */
static void lose_task(struct slot *slot, struct batch *batch, int status, enum ran ran)
{
	struct error error;
	say_lost(slot, status, ran, &error);
	slot->lost++;
	slot->pool->counts.lost++;
	call_on_failure(batch, batch->first + batch->done, &error);
}

/* Has it, before it began, been the end of so many workers that it is thought to be why? It may be too large for them to take in. */
static bool is_poison(struct slot *slot, struct batch *batch, uint32_t begun)
{
	if (begun == 0 && batch == TAILQ_FIRST(&slot->handed))
		batch->returned++;
	return batch->returned > RETURNS_MOST;
}

/*
 * A batch of the dead worker: what the method was called for is lost, unless it may be run again; what it wasn't goes back to
 * the front of its queue. What has been answered is past.
 */
static void lose_batch(struct slot *slot, struct batch *batch, int status)
{
	const bool started = board_state(slot->board, batch->id) != BOARD_HANDED;
	uint32_t begun = started ? board_begun(slot->board, batch->id) : 0;

	if (begun > batch->count)
		begun = batch->count; /* the worker could write what it liked */
	if (started && batch->call->columns == 0)
		begun = 1;
	const bool poison = is_poison(slot, batch, begun);
	scheduler_release(batch);
	const bool again = begun > batch->done && !batch->call->sticky && call_rerun(batch->call); /* it will be replayed */
	while (!again && batch->done < begun && !batch->call->answered)
		lose_task(slot, batch, status, batch->done + 1 < begun ? RAN_YES : RAN_MAYBE);
	while (poison && batch->done < batch->count && !batch->call->answered)
		lose_task(slot, batch, status, RAN_NO);
	const bool over = batch->call->sticky ? begun > 0 : batch->call->answered;
	if (batch->done >= batch->count || over) {
		batch_end(batch);
		return;
	}
	batch_drop_done(batch);
	scheduler_put_back(batch);
}

static void lose_batches(struct slot *slot, int status)
{
	struct batch *batch;

	while ((batch = TAILQ_FIRST(&slot->deferred))) {
		deferral_remove(slot, batch);
		lose_task(slot, batch, status, RAN_MAYBE);
		batch_end(batch);
	}
	while ((batch = TAILQ_LAST(&slot->handed, batch_list))) /* from the last, so that they return in order */
		lose_batch(slot, batch, status);
}

static uint64_t double_delay(uint64_t delay, uint64_t first, uint64_t most)
{
	if (delay < first)
		return first;
	return delay > most / 2 ? most : 2 * delay;
}

void slot_describe_start(struct slot *slot, int status, const char *why)
{
	char how[96];

	slot_describe_status(status, how, sizeof how);
	if (why)
		snprintf(slot->fault, sizeof slot->fault, "%s", why);
	else if (!slot->fault[0])
		snprintf(slot->fault, sizeof slot->fault, "the worker was %s%s in %s%s", WIFSIGNALED(status) ? "" : "lost: it ",
			 how, slot->replaying[0] ? "a sticky call that was replayed: " : "its constructor", slot->replaying);
}

static void on_start_failed(struct slot *slot, int status, const char *why)
{
	slot_describe_start(slot, status, why);
	memcpy(slot->last_failure, slot->fault, sizeof slot->last_failure);
	snprintf(slot->pool->fault, sizeof slot->pool->fault, "slot %u: %s", slot->index, slot->fault);
	slot->failures++;
	slot->pool->counts.failed_starts++;
	slot->delay = double_delay(slot->failures == 1 ? 0 : slot->delay, FAILURE_DELAY, FAILURE_DELAY_MOST);
	set_broken(slot, true);
	pool_on_broken(slot->pool, slot);
}

static void on_died(struct slot *slot, int status, uint64_t lived)
{
	slot->restarts++;
	slot->pool->counts.deaths++;
	slot_describe_end(slot, status, slot->last_failure, sizeof slot->last_failure);
	if (lived >= GOOD_LIFE)
		slot->delay = 0;
	else
		slot->delay = slot->delay == 0 ? 1 : double_delay(slot->delay, DEATH_DELAY, DEATH_DELAY_MOST);
}

static void next_life(struct slot *slot)
{
	const uint64_t delay = slot->delay <= 1 ? 0 : slot->delay; /* 1 marks that one has died young */

	core_trace(core_of(slot), slot->pool, slot, "the next worker follows in %.3f s", (double)delay / (double)SECOND);
	start_after(slot, delay);
}

void slot_on_gone(struct slot *slot, int status, const char *why)
{
	struct pool *pool = slot->pool;
	const enum slot_state was = slot->state;
	const uint64_t lived = core_of(slot)->now - slot->since;

	timer_clear(&core_of(slot)->timers, &slot->grace);
	sendq_clear(&slot->out);
	sendq_clear(&slot->later);
	idmap_free(&slot->bound);
	idmap_free(&slot->by_tag);
	replay_end(slot);
	set_state(slot, SLOT_WAITING);
	nested_end(slot);
	lease_on_worker_gone(slot);
	lose_batches(slot, status);
	if (slot->successor)
		successor_take_place(slot->successor, (struct span){0}, NULL);
	if (slot->predecessor) {
		pool->counts.failed_starts += was == SLOT_STARTING;
		slot_describe_start(slot, status, why);
		successor_on_failed(slot);
	} else if (slot->plan == PLAN_LEAVE) {
		pool_on_slot_removed(pool, slot);
		slot_finish(slot);
	} else {
		if (was == SLOT_STARTING)
			on_start_failed(slot, status, why);
		else if (was == SLOT_READY)
			on_died(slot, status, lived);
		next_life(slot);
	}
	scheduler_run(pool); /* what has come back may be for another slot */
}
