/* SPDX-License-Identifier: Apache-2.0 */
/* to_worker: writes messages to a worker, as proto/channel.h draws them. In daemon/worker, worker_call.c, items.c and
 * life.c read them. from_worker.h reads what comes back. */
#ifndef CORE_TO_WORKER_H
#define CORE_TO_WORKER_H

#include "daemon/core/records/slot.h"

/* The first message to a new worker. args, kwargs and slot_kwargs are packed values (size 0: nil). */
void to_worker_start(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs);

/* to_worker_replay: the worker, if it was told to start, replays the sticky calls that came since then. to_worker_portion:
 * writes the next portion of the calls that it replays. */
void to_worker_replay(struct slot *slot);
void to_worker_portion(struct slot *slot);

/* The batch, whose id and slot are set. */
void to_worker_batch(const struct batch *batch);

/* The client has taken so many bytes of the values that the batch's method has yielded. */
void to_worker_taken(const struct batch *batch, uint64_t bytes);

/* The call with that binding has ended: the worker forgets the binding, if it was given it. */
void to_worker_unbind(struct slot *slot, uint32_t binding);

/* A message of a direct channel is cancelled, which has ended. */
void to_worker_drop(struct slot *slot, uint32_t place, uint64_t number);

/* Nobody waits for the deferred task any more. */
void to_worker_gone(struct slot *slot, uint64_t tag);
void to_worker_session_end(struct slot *slot, uint64_t session);

/* The session has ended, and the successor's predecessor stops and may have put the session into its state: writes the message to
 * successor->later. to_worker_later: the successor has that state now; sends what is in `later`. */
void to_worker_session_end_later(struct slot *successor, uint64_t session);
void to_worker_later(struct slot *successor);

/* The session wants to lease the instance; its lease has ended. */
void to_worker_lease(struct slot *slot, uint64_t session);
void to_worker_release(struct slot *slot, uint64_t session);

/* Opens a direct channel at that place of the board for the client: `socket` is the worker's end. And: has it closed. */
void to_worker_attach(struct slot *slot, uint32_t place, const struct client *client, uint64_t tell_every, struct block *socket,
		      bool rings);
void to_worker_detach(struct slot *slot, uint32_t place, const char *reason);

/* The answer to the worker's nested call: a response, whose bytes are taken. */
void to_worker_result(struct slot *slot, struct sendq *response);

/* The worker is to stop, and, with `want_state`, to hand over its instance's state before. */
void to_worker_stop(struct slot *slot, bool want_state);

/* The state of the worker's predecessor: a packed value, which lies in `block` unless that is NULL. The worker gets tasks once
 * it has answered. */
void to_worker_restore(struct slot *slot, struct span state, struct block *block);

#endif
