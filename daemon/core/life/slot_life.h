/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_life: what happens to a slot's instance, and what the slot does then: its worker connects, gets ready, dies; it has
 * something to do, or nothing left; it is replaced, or leaves.
 */
#ifndef CORE_SLOT_LIFE_H
#define CORE_SLOT_LIFE_H

#include "daemon/core/records/slot.h"

/* The slot may have room, or nothing left to do: it pulls, or goes on with its plan. */
void slot_step(struct slot *slot);

/* A new worker; returns the generation that it will have. */
uint64_t slot_restart(struct slot *slot);

/* No worker, once what is addressed to the slot is done. */
void slot_leave(struct slot *slot);

/* The new worker is connected: it gets the first message. args, kwargs and slot_kwargs are packed values (size 0: nil). */
void slot_on_connected(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs);

/* The worker begins to replay a sticky call of this method; a new worker's constructor is done. 0; -EBADMSG: it was given
 * none. */
int slot_on_replaying(struct slot *slot, struct span method);

/* The worker has its predecessor's state; or, `failed`, it has to replay the sticky calls. */
void slot_on_restored(struct slot *slot, bool failed);

/* Its worker is ready. */
void slot_on_ready(struct slot *slot);

/* The worker has gone: all that it sent has been given to slot_on_message before. `status` as of waitpid; `reason` says more when
 * it isn't NULL (it could not be started, say). */
void slot_on_gone(struct slot *slot, int status, const char *reason);

#endif
