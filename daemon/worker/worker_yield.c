/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/worker_yield.h"

#include "daemon/worker/inbox.h"
#include "daemon/worker/quit.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void worker_yield_on_taken(struct task *task, struct reader *reader)
{
	uint64_t id, bytes;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &bytes) < 0)
		quit_protocol();
	if (id >= TASK_DEFERRED)
		deferred_taken(task->deferrals, id - TASK_DEFERRED, bytes);
	else if (id == task->id)
		task->yielded -= bytes < task->yielded ? bytes : task->yielded;
}

/* Sends [YIELD, id] or [YIELD, id, value]. */
static int give(struct reply *reply, uint64_t id, const void *msgpack, size_t size)
{
	uint8_t *message = malloc(REPLY_TYPE + PACK_UINT + size), *p;

	if (!message)
		return -ENOMEM;
	p = pack_uint(reply_pack_type(message, size > 0 ? 3 : 2, FROM_YIELD), id);
	if (size > 0)
		p = mempcpy(p, msgpack, size);
	const int r = reply_aside(reply, message, (size_t)(p - message));
	free(message);
	return r;
}

/* Waits until the caller has taken enough, or has gone. */
static int wait_for_room(struct task *task, size_t size)
{
	struct inbox *inbox = task->inbox;
	const int r = task->yielded + size > YIELD_AHEAD ? inbox_pin(inbox) : 0; /* the arguments of the present call lie in it */

	while (r == 0 && task->yielded > 0 && task->yielded + size > YIELD_AHEAD && !objpool_cancelled(&task->handle.call)) {
		uint64_t type;
		struct reader reader = inbox_await(inbox, 1u << TO_TAKEN, &type);
		worker_yield_on_taken(task, &reader);
	}
	return r;
}

static bool is_one_value(const struct task *task, const void *msgpack, size_t size)
{
	return size <= task->max_result && scan_length(msgpack, size) == (int64_t)size &&
	       scan_nesting(msgpack, size) <= SCAN_LEVELS;
}

int worker_yield_value(struct objpool_call *call, const void *msgpack, size_t size)
{
	struct task *task = task_of(call);

	if (!task || !task->invoker || !call->method || !task->wants_values || task->deferred_tag)
		return -ENOTSUP;
	if (size == 0)
		return give(task->reply, task->id, NULL, 0);
	if (!is_one_value(task, msgpack, size))
		return -EINVAL;
	int r = wait_for_room(task, size);
	if (r == 0 && objpool_cancelled(call))
		r = -ECANCELED;
	if (r == 0)
		r = give(task->reply, task->id, msgpack, size);
	task->yielded += r == 0 ? size : 0;
	return r;
}

int worker_yield_later(struct deferred *deferred, const void *msgpack, size_t size)
{
	const struct task *task = deferred->deferrals->task;

	if (!deferred->wants_values)
		return -ENOTSUP;
	if (deferred_is_cancelled(deferred))
		return -ECANCELED;
	if (size > 0 && !is_one_value(task, msgpack, size))
		return -EINVAL;
	if (size > 0 && deferred_is_in_its_method(deferred))
		return deferred_refuse_until_known(deferred, size);
	if (size > 0 && !deferred_has_room(deferred, size)) {
		deferred->refused = size;
		return -EAGAIN;
	}
	const int r = give(task->reply, deferred_id(deferred), msgpack, size);
	deferred->yielded += r == 0 ? size : 0;
	return r;
}
