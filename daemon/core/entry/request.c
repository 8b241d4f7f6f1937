/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/entry/request.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/call_life.h"
#include "daemon/core/records/call_options.h"
#include "daemon/core/records/columns.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/entry/request_inherit.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/remote.h"
#include "daemon/core/life/sizing.h"
#include "proto/pack.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void note_denied(const struct client *client, const struct error *error)
{
	client->core->denied++;
	if (client->rights && client->rights->quota)
		client->rights->quota->denied++;
	if (client->core->ops->denied)
		client->core->ops->denied(client, error);
}

int request_refuse(struct client *client, const struct rpc *rpc, const struct error *error)
{
	core_trace(client->core, NULL, NULL, "session %llu %s %u, %.*s: refused: %s: %.*s", (unsigned long long)client->id,
		   rpc->type == RPC_NOTIFICATION ? "notification" : "call", rpc->type == RPC_NOTIFICATION ? 0 : rpc->msgid,
		   SPAN_TEXT(rpc->method, 100),
		   error_code_name(error->code), (int)error->message.size, (const char *)error->message.bytes);
	if (error->code == ERROR_DENIED)
		note_denied(client, error);
	if (rpc->type == RPC_NOTIFICATION)
		return 0;
	if (idmap_get(&client->inflight, rpc->msgid))
		return -EEXIST;
	client_answer_error(client, rpc->msgid, error);
	return 0;
}

static int refuse_call(struct call *call, struct client *client, const struct rpc *rpc, const struct error *error)
{
	const int r = request_refuse(client, rpc, error); /* rpc's spans may lie in the call */

	call_free(call);
	return r;
}

/* ---- what any call needs ---- */

/* Checks that the client has the right to the call, whether or not there is such a pool. Descriptors go only to those who may
 * call one instance. */
static int check_rights(const struct call *call, const struct client *client, const struct target *target, struct error *error)
{
	const enum right right = target->select == SELECT_ALL ? RIGHT_ALL : RIGHT_CALL;

	if (rights_check(client->rights, right, target->pool, target->method, error) < 0)
		return -EACCES;
	if (right == RIGHT_CALL || !call->block || !call->block->files)
		return 0;
	return rights_check(client->rights, RIGHT_CALL, target->pool, (struct span){0}, error);
}

/* Finds the pool and the method that the target names, and checks that the client may call there. A pool that has shrunk to no
 * slot gets one. 1: the call is for other hosts. */
static int settle_target(struct call *call, const struct client *client, const struct target *target, struct error *error)
{
	struct core *core = client->core;
	struct pool *pool = pool_find(core, target->pool);
	char room[ERROR_SHOWN];

	if (check_rights(call, client, target, error) < 0)
		return -EACCES;
	if (core->draining && !nested_is(client) && !client->arriving) {
		error_say(error, ERROR_UNAVAILABLE, RAN_NO, "the daemon is stopping and takes no new calls");
		return -EINVAL;
	}
	const int away = remote_is_for_others(core, target, pool, error);
	if (away != 0)
		return away < 0 || remote_check_client(client, target, error) < 0 ? -EINVAL : 1;
	if (!pool) {
		error_say(error, ERROR_NO_SUCH_POOL, RAN_NO, "there is no pool \"%s\"", error_shown(target->pool, room));
		return -EINVAL;
	}
	if (target->host.size > 0 && target->select == SELECT_SLOT && lease_is_with_gateway(client, pool, target->slot))
		return 1;
	call->pool = pool;
	call->select = target->select;
	call->method = methods_find(&pool->methods, target->method);
	if (methods_lack(&pool->methods, call->method)) {
		error_say(error, ERROR_NO_SUCH_METHOD, RAN_NO, "pool %s has no method \"%s\"", pool->name,
			  error_shown(target->method, room));
		error->pool = pool->name;
		return -EINVAL;
	}
	call->name = target->method;
	if (sizing_on_call(pool) < 0) {
		error_no_memory(error, RAN_NO);
		return -EINVAL;
	}
	if (target->select == SELECT_SLOT && target->slot >= pool->size) {
		pool_say_no_slot(pool, target->slot, error);
		return -EINVAL;
	}
	return target->select == SELECT_SLOT ? lease_check(client, pool, target->slot, error) : 0;
}

/* Jump consistent hash (Lamping, Veach 2014, https://arxiv.org/abs/1406.2294): moves few keys when the size changes. */
static uint32_t slot_of_key(struct span key, uint32_t slots)
{
	uint64_t hash = name_hash(key.bytes, key.size);
	int64_t b = -1, j = 0;
	while (j < (int64_t)slots) {
		b = j;
		hash = hash * UINT64_C(2862933555777941757) + 1;
		j = (int64_t)((double)(b + 1) * ((double)(INT64_C(1) << 31) / (double)((hash >> 33) + 1)));
	}
	return (uint32_t)b;
}

static void address(struct call *call, const struct target *target)
{
	if (target->select != SELECT_SLOT && target->select != SELECT_KEY)
		return;
	const uint32_t index = target->select == SELECT_SLOT ? target->slot : slot_of_key(target->key, call->pool->size);
	call->only.slot = call->pool->slots[index];
	call->only.addressed = true;
}

/* Checks that there is memory for the call, room in the queue, and an instance that could do it. */
static int admit(const struct call *call, struct client *client, struct error *error)
{
	struct pool *pool = call->pool;

	if (client_is_greedy(client)) {
		client_say_greedy(client, RAN_NO, error);
		pool->counts.rejected++;
		return -EINVAL;
	}
	if (pool->waiting >= pool->settings.max_queue) {
		error_say(error, ERROR_OVERLOADED, RAN_NO, "pool %s has %u call%s waiting: its queue is full (max_queue)",
			  pool->name, pool->waiting, plural(pool->waiting));
		error->pool = pool->name;
		pool->counts.rejected++;
		if (pool->core->ops->pool_full)
			pool->core->ops->pool_full(pool);
		return -EINVAL;
	}
	if (!pool_is_available(pool)) {
		pool_say_unavailable(pool, error);
		pool->counts.rejected++;
		return -EINVAL;
	}
	return 0;
}

/* A call that a method makes has the priority and the trace of the method's own call, unless it names others. */
static int settle_nested(struct call *call, struct client *client, struct error *error)
{
	const struct span parent = call->traceparent ? (struct span){0} : nested_traceparent(client);

	if (nested_check(call, client, error) < 0)
		return -EINVAL;
	call->inside = nested_comes_from(client, call->pool);
	if (!call->prioritized)
		call->priority = nested_priority(client);
	if (parent.size == 0 || call_trace_by(call, parent.bytes) == 0)
		return 0;
	error_no_memory(error, RAN_NO);
	return -ENOMEM;
}

/* The last steps of every call. The quota comes last: a call that is refused takes nothing out of the user's bucket. */
static int begin(struct call *call, struct client *client, const struct rpc *rpc, const struct target *target,
		 struct error *error)
{
	struct columns columns;

	address(call, target);
	call->total = call->select == SELECT_ALL ? call->pool->size : 1;
	if (call->input.fed) {
		call->columns = 1;
		call->total = 0;
	} else if ((call->select == SELECT_MAP || call->select == SELECT_SCATTER) && columns_find(&columns, call, error) < 0) {
		return refuse_call(call, client, rpc, error);
	}
	if (admit(call, client, error) < 0 || (client->internal && settle_nested(call, client, error) < 0) ||
	    (client->quota && quota_take_call(client->quota, error) < 0))
		return refuse_call(call, client, rpc, error);
	const int r = call_begin(call, client, rpc, columns.at);
	if (r != -ENOMEM)
		return r;
	error_no_memory(error, RAN_NO);
	return request_refuse(client, rpc, error);
}

/* ---- what is for other hosts ---- */

static int check_away(struct client *client, struct error *error)
{
	if (!client_is_greedy(client))
		return client->quota ? quota_take_call(client->quota, error) : 0;
	client_say_greedy(client, RAN_NO, error);
	return -EINVAL;
}

/* The call has been read to check it: its request is given away as it came, but for what a method's own call leaves to it. */
static int send_away(struct call *call, struct client *client, const struct rpc *rpc, struct error *error)
{
	struct remote *remote = client->core->remote;
	struct rpc made;

	if (check_away(client, error) < 0)
		return refuse_call(call, client, rpc, error);
	struct block *block = client->internal ? request_inherit(call, client, rpc, &made) : NULL;
	const int r = remote->send(remote, client, block ? &made : rpc, block ? block : call->block, call->input.fed, error);
	block_unref(block);
	if (r == 0)
		client_count_calls(client, 1);
	else if (r != -EEXIST)
		return refuse_call(call, client, rpc, error);
	call_free(call);
	return r;
}

/* ---- pool.method ---- */

static int is_array(struct span value)
{
	struct reader reader = reader_of(value);
	uint32_t n;
	return read_array(&reader, &n) == 0;
}

/* If the method is the one that the client called last: sets the pool and the method from the memo. False: it is another. */
static bool use_memo(struct call *call, const struct client *client, struct span method)
{
	const struct client_memo *memo = &client->memo;
	if (!pool_of_memo(client) || memo->size != method.size || memcmp(memo->text, method.bytes, method.size) != 0)
		return false;
	call->pool = memo->pool;
	call->method = memo->method;
	call->select = SELECT_ANY;
	const size_t before = strlen(memo->pool->name) + 1;
	call->name = (struct span){.bytes = method.bytes + before, .size = method.size - before};
	return true;
}

/* A method string with a host in it, or of a pool that other hosts offer, too, is looked up each time. */
static void remember(struct client *client, const struct call *call, const struct target *target, struct span method)
{
	const struct remote *remote = client->core->remote;

	if (call->select != SELECT_ANY || !call->method || method.size > CLIENT_METHOD_MEMO || target->host.size > 0 ||
	    (remote && remote->offers(remote, target->pool)))
		return;
	client->memo = (struct client_memo){
		.epoch = client->core->epoch, .size = method.size, .pool = call->pool, .method = call->method};
	memcpy(client->memo.text, method.bytes, method.size);
}

int request_call(struct client *client, struct rpc *rpc, struct block *block)
{
	struct target target = {.select = SELECT_ANY};
	struct error error;
	struct call *call = call_new(client, rpc, block);

	if (!call) {
		error_no_memory(&error, RAN_NO);
		return request_refuse(client, rpc, &error);
	}
	if (!is_array(rpc->params)) {
		error_say(&error, ERROR_BAD_REQUEST, RAN_NO, "params must be an array of arguments");
		return refuse_call(call, client, rpc, &error);
	}
	if (!use_memo(call, client, rpc->method)) {
		int r = target_parse(rpc->method, &target, &error);
		if (r == 0)
			r = settle_target(call, client, &target, &error);
		if (r > 0)
			return send_away(call, client, rpc, &error);
		if (r < 0)
			return refuse_call(call, client, rpc, &error);
		remember(client, call, &target, rpc->method);
	}
	call->args = rpc->params;
	return begin(call, client, rpc, &target, &error);
}

/* ---- objpool.call ---- */

/* Joins the arrays or maps a and b, either of which may be absent (size 0). */
static uint8_t *join(uint8_t *p, struct span a, struct span b, int (*read_head)(struct reader *, uint32_t *),
		     uint8_t *(*pack_head_fn)(uint8_t *, uint32_t))
{
	struct reader ra = reader_of(a), rb = reader_of(b);
	uint32_t na = 0, nb = 0;

	if (a.size > 0)
		(void)read_head(&ra, &na);
	if (b.size > 0)
		(void)read_head(&rb, &nb);
	p = pack_head_fn(p, na + nb);
	if (na > 0)
		p = mempcpy(p, ra.p, (size_t)(ra.end - ra.p));
	return nb > 0 ? mempcpy(p, rb.p, (size_t)(rb.end - rb.p)) : p;
}

static int merge_bind(struct call *call, struct error *error)
{
	if (call->bind.size + call->bind_kwargs.size == 0)
		return 0;
	call->merged = block_new(call->account, 2 * PACK_HEAD + call->bind.size + call->bind_kwargs.size + call->args.size +
							call->kwargs.size);
	if (!call->merged) {
		error_no_memory(error, RAN_NO);
		return -ENOMEM;
	}
	uint8_t *p = call->merged->bytes;
	uint8_t *args_end = join(p, call->bind, call->args, read_array, pack_array);
	uint8_t *end = join(args_end, call->bind_kwargs, call->kwargs, read_map, pack_map);
	call->args = (struct span){.bytes = p, .size = (size_t)(args_end - p)};
	call->kwargs = (struct span){.bytes = args_end, .size = (size_t)(end - args_end)};
	return 0;
}

static int read_args(struct call *call, struct reader *reader, struct error *error)
{
	static const uint8_t none[] = {0x90};
	struct reader look = *reader;
	uint32_t n;

	if (read_nil(reader) == 0) {
		call->args = (struct span){.bytes = none, .size = 1};
		call->input.fed = true; /* if it streams; see settle_input */
		return 0;
	}
	if (read_array(&look, &n) < 0 || read_value(reader, &call->args) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the args of objpool.call must be an array");
		return -EINVAL;
	}
	return 0;
}

/* Where there are users, the right "all" decides, which check_rights has asked for. */
static bool may_stick(const struct client *client, const struct pool *pool)
{
	const struct core_ops *ops = client->core->ops;
	const struct client *head = client->rights ? NULL : nested_head(client);

	return client->rights || !ops->may_stick || (head && !head->is_one_call && ops->may_stick(head, pool));
}

static int check_sticky(const struct call *call, const struct client *client, struct span pool, struct error *error)
{
	if (!call->sticky)
		return 0;
	if (!may_stick(client, call->pool)) {
		error_say(error, ERROR_DENIED, RAN_NO,
			  "this connection may not make calls of pool %.*s sticky (see admin in objpoold.conf(5))",
			  SPAN_TEXT(pool, 100));
		error->pool = call->pool ? call->pool->name : NULL;
	} else if (call->block && call->block->files) {
		error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "a sticky call takes no descriptors: its arguments are kept");
	} else {
		return 0;
	}
	return -EINVAL;
}

/* Checks the options that concern the items of a call, and sets how they come: with the call or fed, and all at once, by a
 * window, or in rounds. */
static int settle_input(struct call *call, const struct client *client, const struct rpc *rpc, struct error *error)
{
	struct input *input = &call->input;
	const bool map = call->select == SELECT_MAP;

	if (rpc->type == RPC_NOTIFICATION || client->internal)
		call->stream.on = call->progress = false; /* results and progress would reach nobody */
	if (input->sync && !map) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option sync is for a target with :map only");
		return -EINVAL;
	}
	if (call->sticky && call->select != SELECT_ALL) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option sticky is for a target with :all only");
		return -EINVAL;
	}
	if (call->labels && call->select != SELECT_ALL && call->select != SELECT_SCATTER) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option labels is for a target with :all or :scatter only");
		return -EINVAL;
	}
	input->fed = input->fed && map && call->stream.on;
	input->open = input->fed;
	input->on = map && (call->stream.on || input->sync);
	if (input->fed && call->kwargs.size > 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO,
			  "a map that is fed takes bind_kwargs, not kwargs: its items come one by one");
		return -EINVAL;
	}
	if (input->fed && call->shape == SHAPE_ZIP)
		call->shape = SHAPE_SINGLE; /* the fed items are one column */
	return 0;
}

/* 1: the call is for other hosts. */
static int read_full(struct call *call, const struct client *client, const struct rpc *rpc, struct target *target,
		     struct error *error)
{
	static const uint8_t nothing[] = {0xc0, 0xc0};
	struct reader reader = reader_of(rpc->params);
	struct span name, method;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || n < 2 || n > 4 || read_text(&reader, &name) < 0 || read_text(&reader, &method) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "objpool.call takes [target, method, args, options]");
		return -EINVAL;
	}
	if (target_parse_bare(name, target, error) < 0)
		return -EINVAL;
	target->method = method;
	if (method.size == 0) {
		error_say(error, ERROR_BAD_TARGET, RAN_NO, "objpool.call names no method");
		return -EINVAL;
	}
	call->select = target->select;
	struct reader absent = {.p = nothing, .end = nothing + 2};
	if (read_args(call, n > 2 ? &reader : &absent, error) < 0 ||
	    call_read_options(call, n > 3 ? &reader : &absent, error) < 0)
		return -EINVAL;
	const bool items = call->select == SELECT_MAP || call->select == SELECT_SCATTER;
	const bool streams = call->stream.on || call->progress;
	if (settle_input(call, client, rpc, error) < 0)
		return -EINVAL;
	if (!items && call->shape != SHAPE_ZIP) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option args_as goes with map and scatter only");
		return -EINVAL;
	}
	const int r = settle_target(call, client, target, error);
	if (r < 0 || check_sticky(call, client, target->pool, error) < 0)
		return -EINVAL;
	if (r > 0 && streams && client->internal) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "what a method calls on another host can't stream, or tell its progress");
		return -EINVAL;
	}
	return r > 0 ? 1 : items ? 0 : merge_bind(call, error);
}

int request_full_call(struct client *client, struct rpc *rpc, struct block *block)
{
	struct target target;
	struct error error;
	struct call *call = call_new(client, rpc, block);

	if (!call) {
		error_no_memory(&error, RAN_NO);
		return request_refuse(client, rpc, &error);
	}
	const int r = read_full(call, client, rpc, &target, &error);
	if (r > 0)
		return send_away(call, client, rpc, &error);
	if (r < 0)
		return refuse_call(call, client, rpc, &error);
	return begin(call, client, rpc, &target, &error);
}

/* ---- objpool.feed and feed_end ---- */

/* Reads the msgid of [msgid, ...] and returns its call. NULL: the call has ended, and items that were on their way are
 * dropped. */
static struct call *fed_call(struct client *client, const struct rpc *rpc, struct reader *reader, uint32_t *count)
{
	uint64_t msgid;

	*reader = reader_of(rpc->params);
	if (read_array(reader, count) < 0 || *count < 1 || read_uint(reader, &msgid) < 0 || msgid > UINT32_MAX)
		return NULL;
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	return ticket && ticket->fed && !ticket->remote ? call_of_ticket(ticket) : NULL;
}

/* Gives the pool an instance again if it has shrunk to none while no items came. */
static int wake_pool(struct call *call)
{
	if (sizing_on_call(call->pool) == 0)
		return 0;
	call_fail_for_memory(call);
	return -ENOMEM;
}

/* Has another host the request that the notification is about? Then it is told. */
static bool tell_away(struct client *client, const struct rpc *rpc, struct block *block)
{
	struct reader reader = reader_of(rpc->params);
	uint32_t count;
	uint64_t msgid;

	if (!client->abroad || read_array(&reader, &count) < 0 || count < 1 || read_uint(&reader, &msgid) < 0 || msgid > UINT32_MAX)
		return false;
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	if (!ticket || !ticket->remote)
		return false;
	if (ticket->fed)
		client->core->remote->tell(client->core->remote, ticket, rpc, block);
	return true;
}

void request_feed(struct client *client, const struct rpc *rpc, struct block *block)
{
	struct reader reader;
	struct error error;
	uint32_t count;

	if (tell_away(client, rpc, block))
		return;
	struct call *call = fed_call(client, rpc, &reader, &count);
	if (!call || wake_pool(call) < 0)
		return;
	if (count == 2 && read_array(&reader, &count) == 0) {
		call_feed(call, count, reader_rest(&reader), block);
		return;
	}
	error_say(&error, ERROR_BAD_REQUEST, RAN_MAYBE, "objpool.feed takes [msgid, [item, ...]]");
	call_fail(call, &error);
}

/* Makes the error of an input that has failed. `value` is the client's reason: a text, or a map with a "message". */
static void read_input_error(struct error *error, struct span value)
{
	struct reader reader = reader_of(value), look;
	struct span key, text = {.bytes = (const uint8_t *)"no reason given", .size = 15};
	uint32_t n;

	if (read_text(&reader, &text) < 0 && read_map(&reader, &n) == 0)
		for (; n > 0 && read_text(&reader, &key) == 0; n--) {
			look = reader;
			if (read_value(&reader, &value) == 0 && span_is(key, "message"))
				(void)read_text(&look, &text);
		}
	error_say(error, ERROR_FAILED, RAN_NO, "the input failed: %.*s", SPAN_TEXT(text, 240));
}

void request_feed_end(struct client *client, const struct rpc *rpc)
{
	struct reader reader;
	struct error error;
	struct span value;
	uint32_t count;

	if (tell_away(client, rpc, NULL))
		return;
	struct call *call = fed_call(client, rpc, &reader, &count);
	if (!call || wake_pool(call) < 0)
		return;
	const bool failed = count > 1 && read_nil(&reader) < 0 && read_value(&reader, &value) == 0;
	if (failed)
		read_input_error(&error, value);
	call_feed_end(call, failed ? &error : NULL);
}
