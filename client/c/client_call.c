/* SPDX-License-Identifier: Apache-2.0 */
/* client_call: objpool_call and objpool_callf, which wait for the answer of one call. */
#include "client/c/result.h"
#include "client/c/start.h"

#include <errno.h>
#include <stdarg.h>

enum { CALL_LARGE = 64 << 10 }; /* a result of so many bytes is not copied: its memory is taken over */

struct waiter {
	struct objpool_client *client;
	struct objpool_result *result;
	int rc;
	bool done;
};

/* NULL: the value does not lie in the input buffer, or only in a small part of it. */
static struct result_memory *take_input(struct objpool_client *client, struct objpool_bytes value)
{
	unsigned char *none;
	struct result_memory *memory = result_memory_new(0, &none);
	struct channel *channel = client->channels.reads;
	void *input = memory ? wire_take_input(channel ? &channel->wire : &client->wire, value) : NULL;

	if (!input)
		return result_memory_drop(memory);
	result_memory_attach(memory, input);
	return memory;
}

/*
 * The callback of the call. A large result becomes the caller's together with the memory that it lies in: a mapped file, or the
 * input buffer. Any other result is copied.
 */
static void waiter_on_answer(void *context, const struct objpool_result *result)
{
	struct waiter *waiter = context;
	const bool large = !result->error && result->value.size >= CALL_LARGE;
	struct result_memory *owned = large ? received_payloads_take(&waiter->client->received, result->value) : NULL;

	if (large && !owned)
		owned = take_input(waiter->client, result->value);
	if (owned)
		*waiter->result = (struct objpool_result){result->value, NULL, owned};
	else
		waiter->rc = objpool_result_copy(waiter->result, result);
	if (waiter->rc == 0 && result->error)
		waiter->rc = -EREMOTEIO;
	waiter->done = true;
}

int objpool_call(struct objpool_client *client, const char *method, struct objpool_bytes args,
		 const struct objpool_call_options *options, struct objpool_result *result)
{
	struct waiter waiter = {.client = client, .result = result};
	struct client_request request = {.method = method, .args = args, .lend = true};
	struct pending_call call = {.callback = waiter_on_answer, .context = &waiter};
	int state = 0;

	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (client->dispatching)
		return -EDEADLK;
	const int rc = start_call(client, &request, options, &call);
	if (rc < 0)
		return rc;
	while (!waiter.done)
		state = objpool_wait(client, -1); /* a lost connection answers the call, too */
	if (state != -ESHUTDOWN)
		connection_keep_lent(client);
	return waiter.rc;
}

int objpool_callf(struct objpool_client *client, const char *method, struct objpool_result *result, const char *format, ...)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	va_list arguments;

	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	va_start(arguments, format);
	int rc = objpool_vpack(&args, format, arguments);
	va_end(arguments);
	if (rc == 0)
		rc = objpool_call(client, method, objpool_packed(&args), NULL, result);
	objpool_packer_free(&args);
	return rc;
}
