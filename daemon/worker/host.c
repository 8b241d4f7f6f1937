/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/host.h"

#include "daemon/worker/run.h"
#include "proto/pack.h"
#include "proto/rpc.h"

#include <string.h>

void host_put_passed(struct host *host, uint32_t id)
{
	uint8_t message[REPLY_TYPE + PACK_UINT];
	const uint8_t *end = pack_uint(reply_pack_type(message, 2, FROM_PASSED), id);

	reply_messages(&host->reply, message, (size_t)(end - message));
}

bool host_begin_batch(struct host *host, uint32_t id)
{
	if (!board_move(host->board, id, BOARD_HANDED, BOARD_STARTED)) {
		method_error_forget(&host->task.handle.error); /* of a method that host_find_method has not found */
		host_put_passed(host, id);
		return false;
	}
	atomic_store_explicit(&host->board->running, id, memory_order_relaxed);
	atomic_store_explicit(&host->board->since, host->now, memory_order_release);
	host->task.id = id;
	return true;
}

void host_end_batch(struct host *host, uint32_t id, uint32_t count)
{
	const uint64_t before = host->now;

	host->now = host_clock();
	const uint64_t spent = host->now - before;
	host->method_cost = spent > host->method_cost ? spent : host->method_cost - host->method_cost / 64;
	const uint64_t each = spent / (count ? count : 1);
	atomic_store_explicit(&board_entry(host->board, id)->spent, board_spent(each), memory_order_relaxed);
	atomic_store_explicit(&host->board->since, 0, memory_order_release);
}

void host_flush(struct host *host)
{
	reply_flush(&host->reply);
	host->flushed = host->now;
}

/* Sends the finished answers before a method that may take long: they shall not wait for it. */
static void flush_before(struct host *host, const char *name, struct span wanted)
{
	const bool same = span_is(wanted, name) && host->method.method.name;
	if (!same)
		host->method_cost = HOST_SHORT_METHOD;
	if (host->method_cost >= HOST_SHORT_METHOD && host->reply.sealed > 0)
		host_flush(host);
}

int host_find_method(struct host *host, struct span name)
{
	flush_before(host, host->method_name, name);
	if (host->method.method.name && span_is(name, host->method_name))
		return 0;
	host->method.method.name = NULL;
	if (name.size >= sizeof host->method_name || memchr(name.bytes, '\0', name.size))
		return task_fail(&host->task, "NO_SUCH_METHOD", "no", "class %s has no method of %zu characters",
				 host->task.plugin->class.name, name.size);
	memcpy(host->method_name, name.bytes, name.size);
	host->method_name[name.size] = '\0';
	run_find(&host->task, host->method_name, &host->method);
	return 0;
}

void host_put_head(struct host *host, enum from_worker type, uint32_t id, bool nil)
{
	uint8_t head[REPLY_TYPE + PACK_UINT + 1], *p = pack_uint(reply_pack_type(head, 4, type), id);

	if (nil)
		p = pack_nil(p);
	reply_put(&host->reply, head, (size_t)(p - head));
}

void host_put_response_head(struct host *host, uint32_t msgid, bool nil)
{
	uint8_t head[3 + PACK_UINT], *p = head;

	*p++ = BYTE_FIXARRAY | 4;
	*p++ = RPC_RESPONSE;
	p = pack_uint(p, msgid);
	if (nil)
		p = pack_nil(p);
	reply_put(&host->reply, head, (size_t)(p - head));
}

void host_put_nil(struct host *host)
{
	reply_put(&host->reply, &(const uint8_t){BYTE_NIL}, 1);
}

void host_put_answers(struct host *host)
{
	const struct span answers = deferred_answers(&host->deferrals);
	if (answers.size == 0)
		return;
	reply_end_results(&host->reply);
	reply_messages(&host->reply, answers.bytes, answers.size);
}

void host_put_item_error(struct host *host, uint32_t id, uint64_t item)
{
	uint8_t index[PACK_UINT];
	const uint8_t *end = pack_uint(index, item);

	reply_end_results(&host->reply);
	(void)reply_begin(&host->reply);
	host_put_head(host, FROM_ITEM_ERROR, id, false);
	reply_put(&host->reply, index, (size_t)(end - index));
	task_put_error(&host->task);
	reply_seal(&host->reply);
}

void host_put_deferred(struct host *host, uint64_t id, uint64_t item)
{
	const uint64_t tag = deferred_take(&host->task);
	const bool at_work = deferred_is_at_work(&host->deferrals, tag);
	uint8_t message[REPLY_TYPE + 3 * PACK_UINT + 1], *p = reply_pack_type(message, at_work ? 5 : 4, FROM_DEFERRED);

	p = pack_uint(pack_uint(pack_uint(p, id), item), tag);
	if (at_work)
		p = pack_bool(p, true);
	reply_messages(&host->reply, message, (size_t)(p - message));
}
