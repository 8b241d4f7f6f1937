/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/slot.h"

#include "daemon/core/records/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

static const char *const state_names[] = {
	[SLOT_WAITING] = "waiting",   [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
	[SLOT_STOPPING] = "stopping", [SLOT_GONE] = "gone"};

const char *slot_state_name(enum slot_state state)
{
	return state_names[state];
}

void slot_fill_place(const struct slot *slot, struct error *error)
{
	error->pool = slot->pool->name;
	error->slot = slot->index;
	error->generation = slot->generation;
}

struct slot *slot_next(const struct pool *pool, struct slot_walk *walk)
{
	if (!walk->detached && walk->next < pool->size)
		return pool->slots[walk->next++];
	walk->detached = walk->detached ? TAILQ_NEXT(walk->detached, link) : TAILQ_FIRST(&pool->detached);
	return walk->detached;
}

void slot_say_unavailable(const struct slot *slot, struct error *error)
{
	error_say(error, ERROR_UNAVAILABLE, RAN_NO, "pool %s slot %u has no instance: %s", slot->pool->name, slot->index,
		  slot->last_failure);
	slot_fill_place(slot, error);
}

void slot_note_failure(struct slot *slot, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(slot->last_failure, sizeof slot->last_failure, format, list);
	va_end(list);
	slot->failed_at = slot->pool->core->now;
}

void slot_kill(struct slot *slot, const char *reason)
{
	if (!slot->reason[0]) /* the first reason stays */
		snprintf(slot->reason, sizeof slot->reason, "%s", reason);
	slot->killed = true;
	core_trace(slot->pool->core, slot->pool, slot, "the worker is killed: %s", slot->reason);
	slot_relist(slot);
	slot->pool->core->ops->slot_kill(slot);
}

/* ---- what it has put off ---- */

bool slot_is_at_work(const struct slot *slot)
{
	return slot->at_work > 0;
}

bool slot_rests(const struct slot *slot)
{
	return slot->handed_count == 0 && slot->at_work == 0 && slot->directs_count == 0;
}

/* How many tasks more may be at work in it? */
static uint32_t room_left(const struct slot *slot)
{
	const uint32_t most = slot->pool->settings.max_concurrent, now = slot->at_work + slot->promised;

	return most == 0 ? UINT32_MAX : now < most ? most - now : 0;
}

uint32_t slot_room(const struct slot *slot, const struct batch *batch)
{
	const struct method *method = batch->call->method;

	return method && method->at_work ? room_left(slot) : UINT32_MAX;
}

bool slot_has_waiters(const struct slot *slot)
{
	return slot->by_tag.count > slot->at_work;
}

const struct batch *slot_calling(const struct slot *slot)
{
	const struct nested *nested = &slot->nested;

	if (nested->direct)
		return NULL;
	return nested->tag ? idmap_get(&slot->by_tag, nested->tag) : slot_batch(slot, nested->batch);
}

/* ---- lists: who is idle, who may be handed more ---- */

uint64_t slot_calls_left(const struct slot *slot)
{
	const uint64_t most = slot->pool->settings.max_calls;
	if (most == 0 || slot->plan == PLAN_LEAVE || slot->no_successor || slot->leased || slot_has_waiters(slot))
		return UINT64_MAX;
	return slot->tasks < most ? most - slot->tasks : 0;
}

bool slot_may_be_ahead(const struct slot *slot, uint64_t most)
{
	return !slot->runs_slow && slot->pool->leases_waiting == 0 && slot->ahead < most && slot->handed_count < SLOT_BATCHES &&
	       slot->out.bytes < SLOT_UNSENT && slot_calls_left(slot) > 0;
}

static struct slot_list *list_for(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->plan != PLAN_STAY || slot->killed || slot->silent || slot->predecessor ||
	    slot->leased || replay_is_due(&slot->replay) || slot_calls_left(slot) == 0)
		return NULL;
	if (slot->handed_count == 0 && slot->out.bytes >= SLOT_UNSENT)
		return NULL; /* it has not read what was taken back from it */
	if (slot->handed_count == 0 && !slot->refuses && room_left(slot) == 0)
		return &slot->pool->open; /* it can do what the others have no time for */
	if (slot->handed_count == 0)
		return slot->refuses ? &slot->pool->refusing : &slot->pool->idle;
	if (slot->refuses || !slot_may_be_ahead(slot, SLOT_AHEAD_MAX))
		return NULL;
	return slot->ahead < SLOT_AHEAD ? &slot->pool->open : &slot->pool->laden;
}

void slot_relist(struct slot *slot)
{
	struct slot_list *list = list_for(slot);

	if (slot->pool->paused && slot_rests(slot))
		slot->pool->core->ops->slot_changed(slot); /* somebody may wait until nothing runs */
	if (list == slot->listed || slot->cut_off)
		return;
	if (slot->listed)
		TAILQ_REMOVE(slot->listed, slot, link);
	if (list && (slot->directs_count > 0 || slot->at_work > 0))
		TAILQ_INSERT_TAIL(list, slot, link); /* it may be busy with what comes on its direct channels, or goes on there */
	else if (list)
		TAILQ_INSERT_HEAD(list, slot, link); /* the one used last is the warmest */
	slot->listed = list;
	if (list == &slot->pool->idle && slot->pool->recall_pause > MILLISECOND)
		pool_watch(slot->pool, MILLISECOND); /* tasks that wait in another slot could run here */
}

void slot_on_sent(struct slot *slot, size_t before)
{
	if (before < SLOT_UNSENT || slot->out.bytes >= SLOT_UNSENT)
		return;
	slot_relist(slot);
	pool_wake(slot->pool);
}

/* ---- what the worker has in its hands ---- */

bool slot_has_in_hand(const struct batch *batch)
{
	return batch->slot && batch->slot->by_id[batch->id % BOARD_ENTRIES] == batch;
}

struct batch *slot_batch(const struct slot *slot, uint64_t id)
{
	struct batch *batch = slot->by_id[id % BOARD_ENTRIES];
	return batch && batch->id == id ? batch : NULL;
}

static uint32_t new_id(struct slot *slot)
{
	/* Batches are answered in order, so only the newest SLOT_BATCHES ids are in use. But the id of a batch that runs for long
	 * may come again when the batches behind it are taken back again and again. */
	uint32_t id;
	do {
		id = ++slot->next_id; /* 0 stands for none */
	} while (id == 0 || slot->by_id[id % BOARD_ENTRIES]);
	return id;
}

void slot_take(struct slot *slot, struct batch *batch, uint64_t estimate)
{
	const uint32_t id = new_id(slot);

	batch->slot = slot;
	batch->id = id;
	batch->estimate = estimate;
	batch->promised = slot_room(slot, batch) < UINT32_MAX ? batch->count : 0;
	slot->promised += batch->promised;
	slot->by_id[id % BOARD_ENTRIES] = batch;
	TAILQ_INSERT_TAIL(&slot->handed, batch, link);
	slot->ahead += batch->estimate;
	slot->tasks += batch->count;
	if (slot->handed_count++ == 0)
		slot->heard = slot->pool->core->now;
	board_set_items(slot->board, id, batch->count);
	atomic_store_explicit(&board_entry(slot->board, id)->word, board_word(id, BOARD_HANDED), memory_order_release);
}

void slot_estimate(struct batch *batch, uint64_t estimate)
{
	batch->slot->ahead -= batch->estimate - estimate;
	batch->estimate = estimate;
	slot_relist(batch->slot);
}

void slot_release(struct batch *batch)
{
	struct slot *slot = batch->slot;

	TAILQ_REMOVE(&slot->handed, batch, link);
	slot->by_id[batch->id % BOARD_ENTRIES] = NULL;
	slot->ahead -= batch->estimate;
	slot->promised -= batch->promised;
	if (--slot->handed_count == 0)
		slot->idle_since = slot->pool->core->now;
	if (!batch->addressed)
		batch->slot = NULL;
	slot_relist(slot);
}

/* ---- how a worker ended ---- */

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
	if (slot->reason[0])
		snprintf(text + n, size - n, ": %.*s", (int)(size - n), slot->reason);
}

void slot_describe_start(struct slot *slot, int status, const char *reason)
{
	char how[96];

	slot_describe_status(status, how, sizeof how);
	if (reason)
		snprintf(slot->reason, sizeof slot->reason, "%s", reason);
	else if (!slot->reason[0])
		snprintf(slot->reason, sizeof slot->reason, "the worker was %s%s in %s%s", WIFSIGNALED(status) ? "" : "lost: it ",
			 how, slot->replaying[0] ? "a sticky call that was replayed: " : "its constructor", slot->replaying);
}

