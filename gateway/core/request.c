/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/request.h"

#include "gateway/core/allowance.h"
#include "gateway/core/ask.h"
#include "gateway/core/call.h"
#include "gateway/core/gather.h"
#include "gateway/core/held.h"
#include "gateway/core/lane.h"
#include "gateway/core/map.h"
#include "gateway/core/remote_call.h"
#include "gateway/core/replay.h"
#include "gateway/core/rounds.h"
#include "gateway/core/route.h"
#include "gateway/core/sticky.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECT_MAX (3 * SECOND) /* calls wait no longer for a bus of which nothing is known yet */

static void refuse_msgid(struct session *session, const struct rpc *rpc)
{
	gateway_log(session->gateway, LOG_ERR, "session %llu: msgid %u is in use, and has come again: the request is dropped",
		    (unsigned long long)session->sid, rpc->msgid);
}

/* The call that the first argument names. */
static struct call *named_call(struct session *session, struct reader *reader, uint32_t *count)
{
	uint64_t msgid;

	if (read_array(reader, count) < 0 || *count < 1 || read_uint(reader, &msgid) < 0)
		return NULL;
	--*count;
	return idmap_get(&session->calls, msgid);
}

static void take_cancel(struct session *session, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	uint32_t count;
	struct call *call = named_call(session, &reader, &count);

	const bool found = call || held_cancel(session, rpc);
	if (call)
		call->ops->cancel(call);
	struct sendq *to = rpc->type == RPC_REQUEST ? session_begin(session) : NULL;
	if (!to)
		return;
	put_array(to, 4);
	put_uint(to, RPC_RESPONSE);
	put_uint(to, rpc->msgid);
	put_nil(to);
	put_bool(to, found);
	session_end(session);
}

static void take_feed(struct session *session, const struct rpc *rpc, struct block *block)
{
	struct reader reader = reader_of(rpc->params);
	struct span items;
	uint32_t count;
	struct call *call = named_call(session, &reader, &count);

	if (call && call->ops->feed && count >= 1 && read_value(&reader, &items) == 0)
		call->ops->feed(call, items, block);
}

static void take_feed_end(struct session *session, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	struct span error = {0};
	uint32_t count;
	struct call *call = named_call(session, &reader, &count);

	if (call && call->ops->feed_end && (count == 0 || read_value(&reader, &error) == 0))
		call->ops->feed_end(call, error);
}

/* Where a request goes. */
enum way { REFUSED, TO_ONE, TO_ALL, TO_MANY, IN_ROUNDS, TO_MEMORY };

static enum way refuse_way(struct error *error, enum error_code code, const char *text)
{
	error_say(error, code, RAN_NO, "%s", text);
	return REFUSED;
}

static enum way choose(const struct ask *ask, struct error *error)
{
	const bool of_hosts = route_is_of_hosts(ask);
	const enum select select = ask->target.select;

	if (ask->kind == ASK_STATUS && of_hosts)
		return refuse_way(error, ERROR_BAD_TARGET, "objpool.status of a pool of which host? Name one: pool@HOST");
	if (ask->kind == ASK_FORGET && of_hosts)
		return TO_MEMORY;
	if (ask->kind != ASK_CALL)
		return TO_ONE;
	if ((of_hosts || ask->labels) && (select == SELECT_ALL || select == SELECT_SCATTER))
		return TO_ALL;
	if (ask->labels)
		return refuse_way(error, ERROR_BAD_REQUEST, "option labels is for a target with :all or :scatter only");
	return !of_hosts || select != SELECT_MAP ? TO_ONE : ask->sync ? IN_ROUNDS : TO_MANY;
}

/* Is the message needed for longer than now? That of a call that may go to another host if the first is lost is kept, too, if
 * that costs no copy. */
static bool is_kept(const struct ask *ask, enum way way, const struct block *block)
{
	return way == TO_MANY || way == IN_ROUNDS || (way == TO_ONE && (ask->idempotent || ask->kind == ASK_LEASE || block));
}

/* A reference to the block that holds the message; it is copied into one if need be, and `ask` read from there. NULL: *error is
 * made. */
static struct block *keep(struct session *session, struct ask *ask, const struct rpc *rpc, struct block *block,
			  struct error *error)
{
	const uint8_t *begin = rpc->method.bytes; /* the params follow the method, and end the message */
	const size_t size = (size_t)(rpc->params.bytes + rpc->params.size - begin);
	struct rpc moved = *rpc;

	if (block)
		return block_ref(block);
	block = block_new(session->memory, size);
	if (!block) {
		error_no_memory(error, RAN_NO);
		return NULL;
	}
	memcpy(block->bytes, begin, size);
	moved.method.bytes = block->bytes;
	moved.params.bytes = block->bytes + (rpc->params.bytes - begin);
	if (ask_read(ask, &moved, error) < 0)
		return block_unref(block);
	return block;
}

/* objpool.forget of the pools of several hosts: here, and at each of them. Answers how many calls were remembered here. */
static void forget(struct session *session, const struct ask *ask)
{
	struct gateway *gateway = session->gateway;
	struct reader reader = reader_of(ask->rest);
	struct ask each = *ask;
	struct span method = {0};
	struct error error;
	struct host *host;

	if (ask->rest_count > 0 && read_nil(&reader) < 0)
		(void)read_text(&reader, &method);
	const uint32_t count = sticky_forget(gateway, ask->target.pool, method);
	each.rpc.type = RPC_NOTIFICATION;
	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		struct lane *lane = route_has(gateway, ask, host) ? lane_to(session, host, &error) : NULL;
		if (!lane)
			continue;
		ask_write(&each, lane_begin(lane), 0, host->name, UINT64_MAX);
		(void)lane_end(lane, NULL, 0, NULL); /* a host that is lost remembers nothing */
	}
	struct sendq *to = ask->rpc.type == RPC_REQUEST ? session_begin(session) : NULL;
	if (!to)
		return;
	put_array(to, 4);
	put_uint(to, RPC_RESPONSE);
	put_uint(to, ask->rpc.msgid);
	put_nil(to);
	put_uint(to, count);
	session_end(session);
}

/* A conduit that dies can cost a host a sticky call, and the host is still there: it gets it before anything that comes later.
 * What fails at once is not tried twice in a turn. */
static void send_what_is_owed(struct gateway *gateway)
{
	struct host *host;

	gateway->sticky_owed = false;
	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (host->replayed != gateway->now)
			replay_look(host);
}

/* A gateway that has just come knows no hosts: it has not been connected yet, or listens. */
static bool knows_hosts(const struct gateway *gateway)
{
	const bool connects = gateway->state == GATEWAY_CONNECTING && !gateway->bus_is_up && !gateway->bus_text[0] &&
			      gateway->now < gateway->started + CONNECT_MAX,
		   listens = gateway->state == GATEWAY_LISTENING && gateway->bus_is_up;

	return !connects && !listens;
}

/* Can the call be made here, whatever other hosts there are? */
static bool is_for_self(const struct gateway *gateway, const struct ask *ask)
{
	if (!route_is_of_hosts(ask))
		return span_is(ask->target.host, gateway->name);
	return ask->target.select == SELECT_ANY && gateway->hosts->self && route_has(gateway, ask, gateway->hosts->self);
}

enum when { AT_ONCE, LATER, NEVER };

static enum when when_first(enum sticky_first first, const struct host *host, struct error *error)
{
	if (first != STICKY_FIRST_FAILS)
		return first == STICKY_FIRST_WAITS ? LATER : AT_ONCE;
	error_say(error, ERROR_UNREACHABLE, RAN_NO, "host %s has not taken the sticky calls that it must have first", host->name);
	error->host = host->name;
	return NEVER;
}

/* Hosts have sticky calls first. Any host: only if there is no other. Who holds a lease does not wait: sticky calls may wait for
 * the lease. */
static enum when when_sticky(struct gateway *gateway, const struct session *session, const struct ask *ask, struct error *error)
{
	const bool picks = route_is_of_hosts(ask) && ask->target.select == SELECT_ANY;
	enum when when = AT_ONCE;
	struct host *host;

	if ((ask->kind != ASK_CALL && ask->kind != ASK_LEASE) || gateway->sticky_count == 0)
		return AT_ONCE;
	if (gateway->sticky_owed)
		send_what_is_owed(gateway);
	if (leases_hold(&session->leases, session->gateway->now))
		return AT_ONCE;
	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!route_has(gateway, ask, host))
			continue;
		const enum when of_host = when_first(sticky_comes_first(host), host, error);
		if (picks && of_host == AT_ONCE && route_is_ready(host, ask))
			return AT_ONCE;
		when = when == LATER || of_host == AT_ONCE ? when : of_host;
	}
	return when;
}

/* NEVER: *error says why. */
static enum when when_to_begin(struct session *session, const struct ask *ask, struct error *error)
{
	struct gateway *gateway = session->gateway;

	if (!knows_hosts(gateway) && !is_for_self(gateway, ask))
		return LATER;
	return when_sticky(gateway, session, ask, error);
}

/* 0; or -1, and *error says why. */
static int hold(struct session *session, struct span message, struct block *block, struct error *error)
{
	const int r = held_add(session, message, block);

	if (r == -ENOBUFS)
		error_say(error, ERROR_OVERLOADED, RAN_NO, "%d calls wait for hosts that have just come, as many as may",
			  HELD_MAX);
	else if (r < 0)
		error_no_memory(error, RAN_NO);
	return r < 0 ? -1 : 0;
}

static void begin_call(struct session *session, const struct rpc *rpc, struct span message, struct block *block)
{
	struct gateway *gateway = session->gateway;
	struct error error;
	struct ask ask;

	if (session_is_greedy(session)) {
		error_say(&error, ERROR_OVERLOADED, RAN_NO,
			  "the gateway to other hosts holds %llu MiB, as many as it may (max_memory in [cluster]), "
			  "of which this client has %llu",
			  (unsigned long long)(gateway->memory.used >> 20), (unsigned long long)(session->memory->used >> 20));
		refuse_request(session, rpc, &error);
		return;
	}
	if (ask_read(&ask, rpc, &error) < 0) {
		refuse_request(session, rpc, &error);
		return;
	}
	ask_wait(&ask, held_waited(gateway));
	if (ask.has_waited && ask.timeout == 0) {
		error_say(&error, ERROR_TIMEOUT, RAN_NO,
			  "the call's time is over, and it still waited for hosts that have just come");
		refuse_request(session, rpc, &error);
		return;
	}
	const enum when when = when_to_begin(session, &ask, &error);
	if (when == LATER && hold(session, message, block, &error) == 0)
		return;
	if (when != AT_ONCE) {
		refuse_request(session, rpc, &error);
		return;
	}
	const enum way way = choose(&ask, &error);
	struct block *kept = NULL;
	if (way == REFUSED || (is_kept(&ask, way, block) && !(kept = keep(session, &ask, rpc, block, &error)))) {
		refuse_request(session, rpc, &error);
		return;
	}
	ask.block = kept ? kept : block;
	if (way == TO_MEMORY) {
		forget(session, &ask);
		block_unref(kept);
		return;
	}
	const int r = way == TO_ALL      ? gather_begin(session, &ask)
		      : way == TO_MANY   ? map_begin(session, &ask, kept)
		      : way == IN_ROUNDS ? rounds_begin(session, &ask, kept)
					 : remote_call_begin(session, &ask, kept);
	if (r == -EEXIST)
		refuse_msgid(session, rpc);
	block_unref(kept);
}

static bool is_feed(struct span method)
{
	return span_is(method, "objpool.feed") || span_is(method, "objpool.feed_end");
}

void request_take(struct session *session, struct span message, struct block *block)
{
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_RESPONSE)
		return; /* the supervisor passes on none such */
	if (block && block->account == &session->gateway->memory && message.size > block->capacity / 2)
		block_move(block, session->memory);
	if (span_is(rpc.method, "objpool.cancel"))
		take_cancel(session, &rpc);
	else if (is_feed(rpc.method) && held_feed(session, &rpc, message, block))
		return;
	else if (span_is(rpc.method, "objpool.feed"))
		take_feed(session, &rpc, block);
	else if (span_is(rpc.method, "objpool.feed_end"))
		take_feed_end(session, &rpc);
	else
		begin_call(session, &rpc, message, block);
}

void request_session_idle(struct session *session)
{
	struct lane *lane, *next;

	for (lane = TAILQ_FIRST(&session->lanes); lane; lane = next) {
		next = TAILQ_NEXT(lane, entry);
		lane_close(lane);
	}
	session_free_if_over(session);
}

static void close_session(struct session *session, bool carry_on)
{
	struct call *call, *next;

	if (!session->closed)
		(void)idmap_remove(&session->gateway->clients->by_sid, session->sid);
	held_drop(session, !carry_on);
	session->closed = true;
	for (call = TAILQ_FIRST(&session->list); call; call = next) {
		next = TAILQ_NEXT(call, entry);
		if (call->is_request || !carry_on)
			call_end(call);
	}
	if (TAILQ_EMPTY(&session->list) && session->held == 0)
		request_session_idle(session);
}

void request_close_session(struct session *session)
{
	close_session(session, true);
}

void request_abandon(struct session *session)
{
	close_session(session, false);
}

void request_resume(struct session *session)
{
	struct call *call, *next_call;
	struct lane *lane;

	TAILQ_FOREACH(lane, &session->lanes, entry)
		lane_resume(lane);
	for (call = TAILQ_FIRST(&session->list); call; call = next_call) {
		next_call = TAILQ_NEXT(call, entry);
		if (call->ops->resumed)
			call->ops->resumed(call);
	}
}
