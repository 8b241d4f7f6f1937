/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/answer.h"

#include "client/c/routing.h"
#include "client/c/failure.h"
#include "client/c/client_stream.h"

/* May an instance still be reading the arguments of the call? A failure does not say that all other instances have finished. */
static bool arguments_may_be_in_use(const struct pending_call *call, const struct objpool_error *error)
{
	return error || call->collects || (call->stream && client_stream_has_failures(call->stream));
}

void answer_call(struct objpool_client *client, struct pending_call *call, struct objpool_bytes value,
		 const struct objpool_error *error)
{
	const struct objpool_result result = {.value = value, .error = error};

	if (!error)
		routing_on_result(client, call, value.size);
	routing_release(call);
	sent_payloads_release(&client->sent, &call->payloads, arguments_may_be_in_use(call, error));
	call->callback(call->context, &result);
}

void answer_failure(struct objpool_client *client, struct pending_call *call, const struct objpool_error *error)
{
	answer_call(client, call, (struct objpool_bytes){NULL, 0}, error);
	(void)failure_unref(error);
}
