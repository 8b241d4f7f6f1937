/* SPDX-License-Identifier: Apache-2.0 */
/* handover: writes a batch to its worker, as proto/channel.h draws it. The worker's call.c and items.c read it: mirror images. */
#ifndef CORE_HANDOVER_H
#define CORE_HANDOVER_H

#include "daemon/core/slot.h"

/* The first message to a new worker. args, kwargs and slot_kwargs are packed values (size 0: nil). */
void handover_start(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs);

/* The sticky calls that came since the worker was told to start, if it was; and the next portion of those that it replays. */
void handover_replay(struct slot *slot);
void handover_portion(struct slot *slot);

/* The batch, which has its id and slot. */
void handover_batch(const struct batch *batch);

/* So many bytes of what the method has yielded are taken. */
void handover_taken(const struct batch *batch, uint64_t bytes);

void handover_unbind(struct slot *slot, uint32_t binding);
void handover_gone(struct slot *slot, uint64_t tag);
void handover_session_end(struct slot *slot, uint64_t session);

/* The same for a successor whose predecessor has taken it into its state already; and: it has that state now. */
void handover_session_end_later(struct slot *successor, uint64_t session);
void handover_later(struct slot *successor);
void handover_lease(struct slot *slot, uint64_t session);
void handover_release(struct slot *slot, uint64_t session);

/* The answer to its nested call, as a response; emptied. */
void handover_result(struct slot *slot, struct sendq *response);
void handover_stop(struct slot *slot, bool want_state);

/* The state of its predecessor, a packed value; `block` holds it, or NULL. The worker gets tasks again once it has answered. */
void handover_restore(struct slot *slot, struct span state, struct block *block);

#endif
