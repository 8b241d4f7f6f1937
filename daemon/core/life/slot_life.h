/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_life: a slot's worker connects, replays sticky calls, gets ready, and dies. Each time slot_step decides what the slot
 * does next: it pulls tasks, is leased or replaced, or stops.
 */
#ifndef CORE_SLOT_LIFE_H
#define CORE_SLOT_LIFE_H

#include "daemon/core/records/slot.h"

/* The slot may have room for tasks, or nothing left to do: it pulls tasks, or goes on with its plan. */
void slot_step(struct slot *slot);

/* Has the slot get a new worker. `cause`: a static text, why. Returns the generation of that worker. */
uint64_t slot_restart(struct slot *slot, const char *cause);

/* Has the slot leave its pool: it finishes the tasks that are addressed to it, and then stops its worker. */
void slot_leave(struct slot *slot);

/* The new worker is connected: sends it the first message. args, kwargs and slot_kwargs are packed values (size 0: nil). */
void slot_on_connected(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs);

/* The worker begins to replay a sticky call of this method. So its constructor is done. 0; or -EBADMSG: it was given no such
 * call. */
int slot_on_replaying(struct slot *slot, struct span method);

/* The instance has restored its predecessor's state. `failed`: it could not, and has to replay the sticky calls. */
void slot_on_restored(struct slot *slot, bool failed);

/* Its worker is ready. */
void slot_on_ready(struct slot *slot);

/* The worker has gone. All that it sent has been given to slot_on_message before. `status` is as of waitpid. `reason` is NULL,
 * or says why the worker could not be started. */
void slot_on_gone(struct slot *slot, int status, const char *reason);

#endif
