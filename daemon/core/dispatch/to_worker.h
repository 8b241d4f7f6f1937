/* SPDX-License-Identifier: Apache-2.0 */
/* to_worker: writes messages to a worker, as proto/channel.h draws them. The worker's call.c, items.c and life.c read them: mirror
 * images. from_worker.h reads what comes back. */
#ifndef CORE_TO_WORKER_H
#define CORE_TO_WORKER_H

#include "daemon/core/records/slot.h"

/* The first message to a new worker. args, kwargs and slot_kwargs are packed values (size 0: nil). */
void to_worker_start(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs);

/* The sticky calls that came since the worker was told to start, if it was; and the next portion of those that it replays. */
void to_worker_replay(struct slot *slot);
void to_worker_portion(struct slot *slot);

/* The batch, which has its id and slot. */
void to_worker_batch(const struct batch *batch);

/* So many bytes of what the method has yielded are taken. */
void to_worker_taken(const struct batch *batch, uint64_t bytes);

/* The call of that binding has ended: the worker, if it was given the binding, shall forget it. */
void to_worker_unbind(struct slot *slot, uint32_t binding);
void to_worker_gone(struct slot *slot, uint64_t tag);
void to_worker_session_end(struct slot *slot, uint64_t session);

/* The same for a successor whose predecessor has taken it into its state already; and: it has that state now. */
void to_worker_session_end_later(struct slot *successor, uint64_t session);
void to_worker_later(struct slot *successor);
void to_worker_lease(struct slot *slot, uint64_t session);
void to_worker_release(struct slot *slot, uint64_t session);

/* The answer to its nested call, as a response; emptied. */
void to_worker_result(struct slot *slot, struct sendq *response);
void to_worker_stop(struct slot *slot, bool want_state);

/* The state of its predecessor, a packed value; `block` holds it, or NULL. The worker gets tasks again once it has answered. */
void to_worker_restore(struct slot *slot, struct span state, struct block *block);

#endif
