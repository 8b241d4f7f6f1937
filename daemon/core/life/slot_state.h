/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_state: a slot is made and freed, and enters states, which timers may end. slot.h draws the states; slot_life.c decides
 * when they change.
 */
#ifndef CORE_SLOT_STATE_H
#define CORE_SLOT_STATE_H

#include "daemon/core/records/slot.h"

/* NULL: out of memory. slot_delete is for a slot that has not been started. */
struct slot *slot_new(struct pool *pool, uint32_t index);
void slot_delete(struct slot *slot);

/* Enters the state, and sets its timer. */
void slot_set_state(struct slot *slot, enum slot_state state);

/* Sets the timer of the state; NEVER: it does not fire. */
void slot_set_timer(struct slot *slot, uint64_t after);

/* Notes whether the slot's last start has failed, and counts such slots in pool->broken. */
void slot_set_broken(struct slot *slot, bool broken);

/* Starts a worker, at once or after a delay. If the pool's budget of starts is spent, the start waits until there is budget. */
void slot_start(struct slot *slot);
void slot_start_after(struct slot *slot, uint64_t delay);

/* The instance is to end once it has done the calls in its hands, however long they take. If its worker does not react, it is
 * killed after stop_timeout. */
void slot_expect_end(struct slot *slot);

/* The pool has other settings. */
void slot_on_settings(struct slot *slot);

/* The instance could not begin a task for want of memory. An instance that refuses all tasks is always idle and would get them
 * all: so other instances are preferred for a while. slot_on_work: it has begun a task again. */
void slot_on_refusal(struct slot *slot);
void slot_on_work(struct slot *slot);

/* Tells a worker that has no tasks to stop; with `want_state`, to hand over its instance's state before. */
void slot_stop(struct slot *slot, bool want_state);

/* Moves the slot out of pool->slots into pool->detached, where it ends. */
void slot_cut_off(struct slot *slot);

/* For a slot that is cut off and has no tasks: stops its worker. If it has no worker, the slot has ended. */
void slot_end(struct slot *slot);

/* A slot of pool->detached has ended for good: it is freed when the event is over. */
void slot_finish(struct slot *slot);

#endif
