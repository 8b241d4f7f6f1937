/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/call.h"

#include "gateway/core/flat.h"

#include <errno.h>
#include <stdio.h>

static const char prefix[] = "objpool.";

enum { NOTICE_HEAD = 3 * PACK_HEAD + 2 * PACK_UINT + sizeof prefix }; /* bytes at most, without the name */

enum { CALL_CHARGE = 512 }; /* bytes that a call counts as, beside what it holds */

static void reap(struct gateway_ending *ending)
{
	struct call *call = container_of(ending, struct call, ending);
	struct account *memory = call->memory;

	call->ops->free(call);
	account_credit(memory, CALL_CHARGE); /* last: the account is there as long as something is charged to it */
}

static void on_due(struct timer *timer)
{
	struct call *call = container_of(timer, struct call, timer);
	call->ops->overdue(call);
}

int call_begin(struct call *call, struct session *session, const struct rpc *rpc, const struct call_ops *ops)
{
	struct gateway *gateway = session->gateway;

	call->ending.reap = reap;
	call->session = session;
	call->ops = ops;
	call->msgid = rpc->msgid;
	call->is_request = rpc->type == RPC_REQUEST;
	if (timer_open(&gateway->timers, &call->timer, on_due) < 0)
		return -ENOMEM;
	const int r = call->is_request ? idmap_add(&session->calls, call->msgid, call) : 0;
	if (r < 0) {
		timer_close(&gateway->timers, &call->timer);
		return r;
	}
	call->memory = session->memory;
	account_charge(call->memory, CALL_CHARGE);
	TAILQ_INSERT_TAIL(&session->list, call, entry);
	if (ops->came)
		TAILQ_INSERT_TAIL(&gateway->clients->joinable, call, joinable);
	return 0;
}

void call_limit_time(struct call *call, uint64_t timeout)
{
	if (timeout != UINT64_MAX)
		call->due = call->session->gateway->now + timeout;
}

void call_set_deadline(struct call *call, uint64_t timeout)
{
	call_limit_time(call, timeout);
	if (call->due)
		timer_set(&call->session->gateway->timers, &call->timer, call->due + CALL_GRACE);
}

uint64_t call_time_left(const struct call *call)
{
	const uint64_t now = call->session->gateway->now;
	return call->due > now ? (call->due - now + MILLISECOND - 1) / MILLISECOND : 0;
}

void call_end(struct call *call)
{
	struct session *session = call->session;

	if (call->over)
		return;
	call->over = true;
	timer_close(&session->gateway->timers, &call->timer);
	if (call->is_request)
		(void)idmap_remove(&session->calls, call->msgid);
	TAILQ_REMOVE(&session->list, call, entry);
	if (call->ops->came)
		TAILQ_REMOVE(&session->gateway->clients->joinable, call, joinable);
	call->ops->give_up(call);
	gateway_end(session->gateway, &call->ending);
	if (session->closed && TAILQ_EMPTY(&session->list))
		session->gateway->clients->idle(session);
}

static void put_response_head(struct sendq *to, uint32_t msgid)
{
	put_array(to, 4);
	put_uint(to, RPC_RESPONSE);
	put_uint(to, msgid);
}

static struct sendq *answer_head(struct call *call)
{
	struct sendq *to = call->is_request && !call->over ? session_begin(call->session) : NULL;

	if (to)
		put_response_head(to, call->msgid);
	else
		call_end(call);
	return to;
}

struct sendq *call_answer_begin(struct call *call)
{
	struct sendq *to = answer_head(call);

	if (to)
		put_nil(to);
	return to;
}

void call_answer_end(struct call *call)
{
	session_end(call->session);
	call_end(call);
}

void call_fail(struct call *call, const struct error *error)
{
	struct sendq *to = answer_head(call);

	if (!to)
		return;
	error_pack(error, call->session->form, to);
	put_nil(to);
	call_answer_end(call);
}

void call_fail_with(struct call *call, struct span error, const struct error_context *context)
{
	struct sendq *to = answer_head(call);

	if (!to)
		return;
	put_error(to, error, call->session->form, context);
	put_nil(to);
	call_answer_end(call);
}

/* In one piece: there are many of them. */
struct sendq *call_notice_begin(struct call *call, const char *name, uint32_t count)
{
	const uint32_t size = (uint32_t)strlen(name);
	struct sendq *to = call->is_request ? session_begin(call->session) : NULL;
	uint8_t *begin = to ? sendq_reserve(to, NOTICE_HEAD + size) : NULL, *p = begin;

	if (!begin)
		return to; /* the queue has failed, or nobody waits for it */
	p = pack_uint(pack_array(p, 3), RPC_NOTIFICATION);
	p = pack_str_head(p, (uint32_t)sizeof prefix - 1 + size);
	memcpy(p, prefix, sizeof prefix - 1);
	memcpy(p + sizeof prefix - 1, name, size);
	p = pack_uint(pack_array(p + sizeof prefix - 1 + size, 1 + count), call->msgid);
	sendq_commit(to, (size_t)(p - begin));
	return to;
}

void call_tell_host(struct gateway *gateway, struct host *host)
{
	struct call *call, *next;

	for (call = TAILQ_FIRST(&gateway->clients->joinable); call; call = next) {
		next = TAILQ_NEXT(call, joinable); /* it may end meanwhile: memory of calls is freed at the end of the turn */
		call->ops->came(call, host);
	}
}

void refuse_request(struct session *session, const struct rpc *rpc, const struct error *error)
{
	struct sendq *to = rpc->type == RPC_REQUEST ? session_begin(session) : NULL;

	if (!to)
		return;
	put_response_head(to, rpc->msgid);
	error_pack(error, session->form, to);
	put_nil(to);
	session_end(session);
}

/* ---- errors that hosts have sent ---- */

struct fields {
	struct span code, message;
	uint32_t kept;   /* without those that are written anew */
	bool has_pool, has_slot;
	bool says_maybe; /* "ran": "no" becomes "maybe" */
};

static bool is_replaced(struct span key, struct span value, const struct error_context *context)
{
	static const uint8_t no[] = {BYTE_FIXSTR | 2, 'n', 'o'};
	const bool not_run = value.size == sizeof no && memcmp(value.bytes, no, sizeof no) == 0;

	return (context->host && span_is(key, "host")) || (context->index >= 0 && span_is(key, "index")) ||
	       (context->may_have_run && not_run && span_is(key, "ran"));
}

/* False: it is no map with text keys. */
static bool read_fields(struct span error, const struct error_context *context, struct fields *fields)
{
	struct reader reader = reader_of(error);
	struct span key, value;
	uint32_t count;

	*fields = (struct fields){0};
	if (read_map(&reader, &count) < 0)
		return false;
	for (; count > 0; count--) {
		if (read_text(&reader, &key) < 0 || read_value(&reader, &value) < 0)
			return false;
		struct reader inside = reader_of(value);
		if (span_is(key, "code"))
			(void)read_text(&inside, &fields->code);
		else if (span_is(key, "message"))
			(void)read_text(&inside, &fields->message);
		fields->has_pool = fields->has_pool || span_is(key, "pool");
		fields->has_slot = fields->has_slot || span_is(key, "slot");
		fields->says_maybe = fields->says_maybe || (span_is(key, "ran") && is_replaced(key, value, context));
		fields->kept += !is_replaced(key, value, context);
	}
	return true;
}

static void put_map_error(struct sendq *to, struct span error, const struct error_context *context, const struct fields *fields)
{
	struct reader reader = reader_of(error);
	struct span key, value;
	const bool adds_pool = context->pool && !fields->has_pool, adds_slot = context->slot >= 0 && !fields->has_slot;
	uint32_t count = 0;

	(void)read_map(&reader, &count); /* read_fields has seen all of it */
	put_map(to, fields->kept + adds_pool + (context->host != NULL) + adds_slot + (context->index >= 0) + fields->says_maybe +
			    (context->items >= 0 ? 2 : 0));
	for (; count > 0 && read_text(&reader, &key) == 0 && read_value(&reader, &value) == 0; count--) {
		if (is_replaced(key, value, context))
			continue;
		put_span(to, key);
		sendq_copy(to, value.bytes, value.size);
	}
	if (adds_pool) {
		put_text(to, "pool");
		put_text(to, context->pool);
	}
	if (context->host) {
		put_text(to, "host");
		put_text(to, context->host);
	}
	if (adds_slot)
		put_pair(to, "slot", (uint64_t)context->slot);
	if (context->index >= 0)
		put_pair(to, "index", (uint64_t)context->index);
	if (fields->says_maybe) {
		put_text(to, "ran");
		put_text(to, "maybe");
	}
	if (context->items >= 0) {
		put_pair(to, "items", (uint64_t)context->items);
		put_pair(to, "failed", context->failed);
	}
}

static void put_string_error(struct sendq *to, const struct fields *fields)
{
	const struct span code =
		fields->code.size ? fields->code : (struct span){.bytes = (const uint8_t *)"INTERNAL", .size = 8};

	put_str_head(to, (uint32_t)(code.size + 2 + fields->message.size));
	sendq_copy(to, code.bytes, code.size);
	sendq_copy(to, ": ", 2);
	sendq_copy(to, fields->message.bytes, fields->message.size);
}

/* Of a daemon that did not understand hello; or of a host that is none. */
static void put_odd_error(struct sendq *to, struct span odd, enum error_form form, const struct error_context *context)
{
	const struct span text = flat_error_text(odd, "message");
	struct error error;

	error_say(&error, ERROR_INTERNAL, RAN_MAYBE, "the host has answered with an error of an unknown form%s%.*s",
		  text.size ? ": " : "", SPAN_TEXT(text, 200));
	error.host = context->host;
	error.pool = context->pool;
	error.index = context->index;
	error_pack(&error, form, to);
}

void put_error(struct sendq *to, struct span error, enum error_form form, const struct error_context *context)
{
	struct fields fields;

	if (!read_fields(error, context, &fields)) {
		put_odd_error(to, error, form, context);
		return;
	}
	switch (form) {
	case ERRORS_AS_MAP:
		put_map_error(to, error, context, &fields);
		return;
	case ERRORS_AS_PAIR:
		put_array(to, 2);
		put_uint(to, 0);
		break;
	case ERRORS_AS_STRING:
	case ERROR_FORMS:
		break;
	}
	put_string_error(to, &fields);
}
