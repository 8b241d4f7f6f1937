/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_state: a slot is made and freed; its states (slot.h draws them), and the timers that end them. slot_life.h says when they
 * change.
 */
#ifndef CORE_SLOT_STATE_H
#define CORE_SLOT_STATE_H

#include "daemon/core/records/slot.h"

/* NULL: out of memory. slot_delete is for a slot that has not been started. */
struct slot *slot_new(struct pool *pool, uint32_t index);
void slot_delete(struct slot *slot);

/* Enters the state, and sets its timer. */
void slot_set_state(struct slot *slot, enum slot_state state);

/* The state's timer fires after so long; NEVER: not at all. */
void slot_set_timer(struct slot *slot, uint64_t after);

/* Has the slot's last start failed? Such slots are counted. */
void slot_set_broken(struct slot *slot, bool broken);

/* Starts a worker, at once or later. Later, too, when the pool's budget of starts is spent. */
void slot_start(struct slot *slot);
void slot_start_after(struct slot *slot, uint64_t delay);

/* The instance is to end once it has done the calls in its hands, however long they take. A worker that does not react is
 * killed after stop_timeout. */
void slot_expect_end(struct slot *slot);

/* The pool has other settings. */
void slot_on_settings(struct slot *slot);

/* The instance could not begin a task for want of memory. An instance that refuses everything is idle all the time: other
 * instances are preferred to it for a while. And: it has begun one. */
void slot_on_refusal(struct slot *slot);
void slot_on_work(struct slot *slot);

/* Tells a worker that has nothing in its hands to stop, and, with `want_state`, to hand over its state before. */
void slot_stop(struct slot *slot, bool want_state);

/* Out of pool->slots: into pool->detached, to end there. */
void slot_cut_off(struct slot *slot);

/* For a slot that is cut off and holds nothing: stops its worker. A slot without a worker has ended. */
void slot_end(struct slot *slot);

/* A slot of pool->detached has ended for good: it is freed when the event is over. */
void slot_finish(struct slot *slot);

#endif
