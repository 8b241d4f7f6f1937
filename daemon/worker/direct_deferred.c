/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_deferred.h"

#include "daemon/worker/direct_error.h"
#include "proto/msgpack_bytes.h"
#include "proto/pack.h"
#include "proto/rpc.h"

#include <errno.h>

/* [1, msgid, */
static uint8_t *response_head(uint8_t *p, uint32_t msgid)
{
	*p++ = BYTE_FIXARRAY | 4;
	*p++ = RPC_RESPONSE;
	return pack_uint(p, msgid);
}

static int put_value(const struct deferred *deferred, const void *value, size_t size)
{
	uint8_t head[3 + PACK_UINT];
	const uint8_t *end = pack_nil(response_head(head, deferred->msgid));

	if (direct_channel_put(deferred->channel, head, (size_t)(end - head)) < 0)
		return -ENOMEM;
	return direct_channel_put(deferred->channel, value, size);
}

/* Without memory for all of the error it says only that. */
static int put_error(struct deferred *deferred)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;
	uint8_t head[3 + PACK_UINT];
	const uint8_t *end = response_head(head, deferred->msgid);

	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	(void)objpool_buffer_write(&buffer, (const char *)head, (size_t)(end - head));
	direct_error_pack(&deferred->handle.error, deferred->handle.call.place, deferred->channel->error_form, &packer);
	msgpack_pack_nil(&packer);
	const int r = buffer.failed ? -ENOMEM : direct_channel_put(deferred->channel, buffer.data, buffer.size);
	objpool_buffer_free(&buffer);
	return r;
}

/* If there is no memory for an answer, the channel ends. */
static void put_answer(struct deferred *deferred, const void *value, size_t size)
{
	struct direct_channel *channel = deferred->channel;
	const int r = deferred->handle.error.code ? put_error(deferred) : put_value(deferred, value, size);

	if (r < 0)
		direct_channel_cut(channel);
}

int direct_deferred_answer(struct deferred *deferred, const void *msgpack, size_t size)
{
	const bool given_up = deferred_is_cancelled(deferred);

	if (deferred->given_up)
		return -ECANCELED; /* the class answers while it is told that nobody waits: `end` does the rest */
	if (given_up)
		method_error_set(&deferred->handle.error, "CANCELLED", "yes", "the call was cancelled by its caller");
	else
		deferred_check_answer(deferred, msgpack, size);
	if (deferred->channel)
		put_answer(deferred, msgpack, size);
	deferred_free(deferred);
	return given_up ? -ECANCELED : 0;
}

/* Tells the class that nobody waits for the call any more, and answers it with the error that is set. */
static void end(struct deferred *deferred)
{
	const struct task *task = deferred->deferrals->task;

	deferred->given_up = true;
	task->plugin->class.deferred(task->self, &deferred->handle.call, OBJPOOL_GONE);
	put_answer(deferred, NULL, 0);
	deferred_free(deferred);
}

void direct_deferred_drop(struct direct_channel *channel, uint64_t number)
{
	struct deferred *deferred;

	TAILQ_FOREACH(deferred, &channel->deferred, of_channel)
		if (deferred->number == number) {
			method_error_set(&deferred->handle.error, "CANCELLED", "yes", "the call was cancelled by its caller");
			end(deferred);
			return;
		}
}

static struct deferred *first_waiter(const struct direct_channel *channel)
{
	struct deferred *deferred;

	TAILQ_FOREACH(deferred, &channel->deferred, of_channel)
		if (!deferred->at_work)
			return deferred;
	return NULL;
}

void direct_deferred_end_waiters(struct direct_channel *channel)
{
	struct deferred *deferred;

	while ((deferred = first_waiter(channel))) {
		method_error_set(&deferred->handle.error, "UNAVAILABLE", "no",
				 "the direct channel ends, and the call has waited in the instance");
		end(deferred);
	}
}

void direct_deferred_drop_all(struct direct_channel *channel)
{
	struct deferred *deferred;

	while ((deferred = TAILQ_FIRST(&channel->deferred)))
		end(deferred);
}
