/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/yield.h"

#include "daemon/core/dispatch/to_worker.h"

#include <errno.h>

enum { TELL_EVERY = YIELD_AHEAD / 4 };

static void tell(struct call *call)
{
	to_worker_taken(call->yield.batch, call->yield.owed);
	call->yield.owed = 0;
}

static void stop_waiting(struct call *call)
{
	if (call->yield.waits_for)
		TAILQ_REMOVE(&call->yield.waits_for->yielding, call, yield.link);
	call->yield.waits_for = NULL;
}

static void tell_or_wait(struct call *call)
{
	struct client *client = call->answered ? NULL : call->ticket.client;

	if (call->yield.owed < TELL_EVERY || call->yield.waits_for)
		return;
	if (!client || !client->stalled) {
		tell(call);
		return;
	}
	call->yield.waits_for = client;
	TAILQ_INSERT_TAIL(&client->yielding, call, yield.link);
}

int yield_on_value(struct batch *batch, struct span value, struct block *block)
{
	struct call *call = batch->call;

	if (!call_takes_yields(call) || batch->done > 0)
		return -EBADMSG;
	call->yield.batch = batch;
	call->yield.owed += value.size;
	call->yield.on = true;
	block = client_claim(call->ticket.client, block, value.size);
	if (!call->answered && value.size > 0)
		(void)stream_values(&call->stream, &call->ticket, call->stream.sent, 1, value,
				    block); /* it is this value's turn, so nothing is allocated */
	tell_or_wait(call);
	return 0;
}

void yield_resume(struct client *client)
{
	struct call *call;

	while (!client->stalled && (call = TAILQ_FIRST(&client->yielding))) {
		stop_waiting(call);
		tell(call);
	}
}

void yield_cancel(struct batch *batch)
{
	if (batch->call->yield.batch != batch)
		return;
	stop_waiting(batch->call);
	tell(batch->call);
}
