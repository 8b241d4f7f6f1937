/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/invoke.h"

#include "daemon/worker/direct_service.h"
#include "daemon/worker/inbox.h"
#include "daemon/worker/values.h"
#include "daemon/worker/worker_yield.h"
#include "proto/pack.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void invoker_free(struct invoker *invoker)
{
	free(invoker->response);
	invoker->response = NULL;
	for (size_t i = 0; i < sizeof invoker->texts / sizeof *invoker->texts; i++) {
		free(invoker->texts[i]);
		invoker->texts[i] = NULL;
	}
}

/* ---- asking ---- */

/* By what the supervisor knows the task that calls. */
static uint64_t id_of(const struct objpool_call *call)
{
	const struct task *task = task_of(call);

	if (!task)
		return deferred_id(deferred_of(call));
	return task->direct ? INVOKE_DIRECT + task->direct->channel->place : task->id;
}

static int ask(struct objpool_call *call, const char *target, const void *args, size_t size)
{
	const char *trace = call->host->traceparent(call);
	const size_t n = strlen(target);
	uint8_t *message = malloc(REPLY_TYPE + PACK_UINT + 2 * PACK_HEAD + n + size + TRACEPARENT), *p;

	if (!message)
		return -ENOMEM;
	p = pack_uint(reply_pack_type(message, trace ? 5 : 4, FROM_INVOKE), id_of(call));
	p = pack_str(p, target, n);
	p = mempcpy(p, args, size);
	if (trace)
		p = pack_str(p, trace, TRACEPARENT);
	const int r = reply_aside(task_behind(call)->reply, message, (size_t)(p - message));
	free(message);
	return r;
}

/* Waits for the answer, and copies it to invoker->response. Meanwhile TAKEN may come: the caller takes what the method has
 * yielded. */
static int await(struct task *task, struct span *response)
{
	struct invoker *invoker = task->invoker;
	struct reader rest;
	uint64_t type;

	while (rest = inbox_await(task->inbox, 1u << TO_RESULT | 1u << TO_TAKEN, &type), type == TO_TAKEN)
		worker_yield_on_taken(task, &rest);
	const size_t size = (size_t)(rest.end - rest.p);

	invoker->response = malloc(size);
	if (!invoker->response)
		return -ENOMEM;
	memcpy(invoker->response, rest.p, size);
	*response = (struct span){.bytes = invoker->response, .size = size};
	return 0;
}

/* ---- the answer ---- */

/* Keeps a copy of the text. 0, also when the value is no text; or -ENOMEM. */
static int keep_text(struct invoker *invoker, int place, struct reader value, const char **kept)
{
	struct span text;

	if (read_text(&value, &text) < 0)
		return 0;
	char *copy = invoker->texts[place] = strndup((const char *)text.bytes, text.size);
	if (!copy)
		return -ENOMEM;
	*kept = copy;
	return 0;
}

static int read_failure(struct invoker *invoker, struct span map, struct objpool_failure *error)
{
	struct reader reader = reader_of(map);
	struct span key, value;
	uint32_t n;
	int r = 0;

	*error = (struct objpool_failure){.message = "it failed"};
	if (read_map(&reader, &n) < 0)
		return -EBADMSG;
	for (; n > 0 && r == 0; n--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		const struct reader look = reader;
		if (read_value(&reader, &value) < 0)
			return -EBADMSG;
		if (span_is(key, "code"))
			r = keep_text(invoker, 0, look, &error->code);
		else if (span_is(key, "message"))
			r = keep_text(invoker, 1, look, &error->message);
		else if (span_is(key, "type"))
			r = keep_text(invoker, 2, look, &error->type);
		else if (span_is(key, "traceback"))
			r = keep_text(invoker, 3, look, &error->traceback);
	}
	return r;
}

static int read_response(struct task *task, struct span message, struct objpool_outcome *result)
{
	struct reader reader;
	struct rpc rpc;
	int r;

	if (rpc_parse(message, &rpc) < 0 || rpc.type != RPC_RESPONSE)
		return -EBADMSG;
	reader = reader_of(rpc.error);
	if (read_nil(&reader) < 0) {
		result->value.type = MSGPACK_OBJECT_NIL;
		r = read_failure(task->invoker, rpc.error, &result->error);
		return r < 0 ? r : -EREMOTEIO;
	}
	reader = reader_of(rpc.result);
	task->uses_zone = true;
	r = values_next(&reader, &task->zone, &result->value);
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	return 0;
}

/* May the call make calls? A deferred one of a direct channel may while it has that channel. */
static bool may_invoke(struct objpool_call *call, const struct task *task)
{
	if (!task->invoker || !call->method)
		return false;
	return task_of(call) || !deferred_of(call)->is_direct || deferred_of(call)->channel;
}

static bool are_args(const void *args, size_t size)
{
	return size > 0 && scan_length(args, size) == (int64_t)size && scan_nesting(args, size) <= SCAN_LEVELS + 1;
}

int invoke(struct objpool_call *call, const char *target, const void *args, size_t size, struct objpool_outcome *result)
{
	struct task *task = task_behind(call);
	struct reader reader = {.p = args, .end = (const uint8_t *)args + size};
	struct span response = {0};
	uint32_t n;

	*result = (struct objpool_outcome){.error = {.message = "the call could not be made"}};
	if (!may_invoke(call, task) || !target || !are_args(args, size) || read_array(&reader, &n) < 0)
		return -EINVAL;
	invoker_free(task->invoker); /* the answer to the call before */
	int r = inbox_pin(task->inbox); /* the arguments of the present call lie in it */
	if (r == 0)
		r = ask(call, target, args, size);
	if (r == 0)
		r = await(task, &response);
	return r < 0 ? r : read_response(task, response, result);
}
