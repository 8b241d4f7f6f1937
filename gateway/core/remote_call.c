/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/remote_call.h"

#include "gateway/core/call.h"
#include "gateway/core/flat.h"
#include "gateway/core/lane.h"
#include "gateway/core/route.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TRIES = 4, /* hosts that are asked for one call */
	POOL_SHOWN = 255,
};

#define DENIED_FOR (10 * SECOND) /* calls of any host go to others than the one that has denied them */

struct remote_call {
	struct call call;
	struct sub sub;
	struct host *host;
	struct ask ask;
	struct block
		*block; /* holds the message, if it may be sent again; else NULL, and the spans of `ask` are not to be used */
	unsigned tries, denials;
	uint64_t asked; /* when the host was */
	bool told;      /* results have gone to the client: it can't begin anew */
	bool cancelled;
	bool may_have_run;       /* on a host that was lost, before another was asked */
	uint8_t slot[PACK_UINT]; /* of objpool.release, packed */
	char pool[];             /* its name, for errors; "": it has more than POOL_SHOWN bytes */
};

static struct remote_call *of_sub(struct sub *sub)
{
	return container_of(sub, struct remote_call, sub);
}

static struct remote_call *of_call(struct call *call)
{
	return container_of(call, struct remote_call, call);
}

static const char *pool_of(const struct remote_call *remote)
{
	return remote->pool[0] ? remote->pool : NULL;
}

static void set_host(struct remote_call *remote, struct host *host)
{
	if (remote->host)
		remote->host->users--;
	remote->host = host;
	if (host)
		host->users++;
}

static void free_call(struct call *call)
{
	struct remote_call *remote = of_call(call);

	set_host(remote, NULL);
	block_unref(remote->block);
	free(remote);
}

/* ---- what the host says ---- */

static struct error_context context_of(const struct remote_call *remote)
{
	return (struct error_context){.host = remote->host->name, .may_have_run = remote->may_have_run, NO_CONTEXT};
}

static const struct gateway *sub_gateway(const struct remote_call *remote)
{
	return remote->call.session->gateway;
}

static void put_value(struct sendq *to, struct span value, struct block *block)
{
	sendq_span(to, block, value.bytes, value.size);
}

/* A number that a map has under that key, or that the value is itself. */
static int64_t number_in(struct span value, const char *name, int64_t otherwise)
{
	struct reader reader = reader_of(value);
	struct span key, inner = value;
	uint32_t count;
	uint64_t number;

	if (read_map(&reader, &count) == 0)
		for (inner.size = 0; count > 0 && read_text(&reader, &key) == 0 && read_value(&reader, &inner) == 0; count--) {
			if (span_is(key, name))
				break;
			inner.size = 0;
		}
	reader = reader_of(inner);
	return read_whole(&reader, &number) == 0 && number <= UINT32_MAX ? (int64_t)number : otherwise;
}

static void note_lease(struct remote_call *remote, struct span result)
{
	const struct gateway *gateway = sub_gateway(remote);
	const int64_t lasts = number_in(remote->ask.rest, "lease_ms", -1);
	struct remote_lease lease = {.slot = number_in(result, "slot", LEASE_ANY_SLOT),
				     .until = lasts < 0 ? UINT64_MAX : gateway->now + (uint64_t)lasts * MILLISECOND,
				     .of_any = route_is_of_hosts(&remote->ask)};

	memcpy(lease.host, remote->host->name, sizeof lease.host);
	leases_add(&remote->call.session->leases, remote->ask.target.pool, lease);
}

/* The answer to objpool.lease of any host says which. */
static void put_lease(struct sendq *to, struct span result, const char *host)
{
	struct reader reader = reader_of(result);
	uint32_t count;

	if (read_map(&reader, &count) < 0) {
		sendq_copy(to, result.bytes, result.size);
		return;
	}
	put_map(to, count + 1);
	sendq_copy(to, reader.p, (size_t)(reader.end - reader.p));
	put_text(to, "host");
	put_text(to, host);
}

/* [[error, value], …]: the errors take the client's form. */
static void put_collected(struct remote_call *remote, struct sendq *to, struct span result)
{
	const struct error_context context = context_of(remote);
	struct reader reader = reader_of(result);
	struct span error, value;
	uint32_t count, two;

	if (read_array(&reader, &count) < 0) {
		sendq_copy(to, result.bytes, result.size);
		return;
	}
	put_array(to, count);
	for (; count > 0; count--) {
		if (read_array(&reader, &two) < 0 || two != 2 || read_value(&reader, &error) < 0 ||
		    read_value(&reader, &value) < 0)
			break; /* a daemon does not say this */
		put_array(to, 2);
		if (span_is_nil(error))
			put_nil(to);
		else
			put_error(to, error, remote->call.session->form, &context);
		sendq_copy(to, value.bytes, value.size);
	}
	for (; count > 0; count--)
		put_nil(to);
}

static bool is_collected(const struct remote_call *remote)
{
	const enum select select = remote->ask.target.select;
	return remote->ask.errors == ASK_COLLECT && !remote->ask.stream && remote->call.session->form != ERRORS_AS_MAP &&
	       (select == SELECT_ALL || select == SELECT_MAP || select == SELECT_SCATTER);
}

/* A stream has ended well at the host, and results of it were too large here: it ends as if those had failed there. */
static void end_stream(struct remote_call *remote, struct span summary)
{
	struct error_context context = context_of(remote);
	struct reader reader = reader_of(summary);
	struct span key;
	struct error error;
	uint64_t value, items = 0, failed = remote->sub.too_large;
	uint32_t count = 0;

	(void)read_map(&reader, &count);
	for (; count > 0 && read_text(&reader, &key) == 0 && read_uint(&reader, &value) == 0; count--) {
		items = span_is(key, "items") ? value : items;
		failed += span_is(key, "failed") ? value : 0;
	}
	if (remote->ask.errors != ASK_COLLECT) {
		error_say(&error, ERROR_TOO_LARGE, RAN_YES, "a result of host %s is over max_message of this host, %llu bytes",
			  remote->host->name, (unsigned long long)sub_gateway(remote)->max_message);
		const struct span map = flat_error(&error);
		context.items = (int64_t)items;
		context.failed = failed;
		if (map.size)
			call_fail_with(&remote->call, map, &context);
		else
			call_fail(&remote->call, &error);
		flat_free(map);
		return;
	}
	struct sendq *to = call_answer_begin(&remote->call);
	if (!to)
		return;
	put_map(to, 2);
	put_pair(to, "items", items);
	put_pair(to, "failed", failed);
	call_answer_end(&remote->call);
}

static bool is_denied(struct span error)
{
	return span_is(flat_error_text(error, "code"), "DENIED") && span_is(flat_error_text(error, "ran"), "no");
}

static bool ask_another(struct remote_call *remote);

static void on_response(struct sub *sub, const struct rpc *rpc, struct block *block)
{
	struct remote_call *remote = of_sub(sub);
	const struct error_context context = context_of(remote);

	if (!span_is_nil(rpc->error)) {
		if (!is_denied(rpc->error) || !ask_another(remote))
			call_fail_with(&remote->call, rpc->error, &context);
		return;
	}
	if (sub->too_large > 0) {
		end_stream(remote, rpc->result);
		return;
	}
	struct sendq *to = call_answer_begin(&remote->call);
	if (!to)
		return;
	if (remote->ask.kind == ASK_CALL && remote->ask.target.select == SELECT_ANY && !remote->ask.stream)
		route_learn(remote->host, sub_gateway(remote)->now - remote->asked);
	if (remote->ask.kind == ASK_LEASE && remote->block)
		note_lease(remote, rpc->result);
	if (remote->ask.kind == ASK_LEASE)
		put_lease(to, rpc->result, remote->host->name);
	else if (is_collected(remote))
		put_collected(remote, to, rpc->result);
	else
		put_value(to, rpc->result, block);
	call_answer_end(&remote->call);
}

/* result [msgid, index, error, value]: the error takes the client's form. */
static void put_result(struct remote_call *remote, struct sendq *to, struct reader rest, struct block *block)
{
	const struct error_context context = context_of(remote);
	struct span index, error, value;

	if (read_value(&rest, &index) < 0 || read_value(&rest, &error) < 0 || read_value(&rest, &value) < 0)
		return;
	sendq_copy(to, index.bytes, index.size);
	if (span_is_nil(error))
		put_nil(to);
	else
		put_error(to, error, remote->call.session->form, &context);
	put_value(to, value, block);
}

static void on_notice(struct sub *sub, struct span name, struct reader rest, uint32_t count, struct block *block)
{
	static const char *const names[] = {"result", "results", "progress", "credit", NULL};
	struct remote_call *remote = of_sub(sub);
	unsigned i = 0;

	while (names[i] && !span_is(name, names[i]))
		i++;
	if (!names[i] || (i == 0 && count != 3))
		return;
	remote->told = true;
	struct sendq *to = call_notice_begin(&remote->call, names[i], count);
	if (!to)
		return;
	if (i == 0)
		put_result(remote, to, rest, block);
	else
		put_value(to, reader_rest(&rest), block);
	session_end(remote->call.session);
}

/* ---- asking ---- */

static int ask_host(struct remote_call *remote, struct host *host, struct error *error);

/* ---- hosts that deny it ---- */

static bool picks_any(const struct remote_call *remote)
{
	return route_is_of_hosts(&remote->ask) && remote->ask.target.select == SELECT_ANY &&
	       (remote->ask.kind == ASK_CALL || remote->ask.kind == ASK_LEASE);
}

static uint64_t hash_of(const struct ask *ask)
{
	return name_hash(ask->target.pool.bytes, ask->target.pool.size) * 31 + name_hash(ask->method.bytes, ask->method.size);
}

static struct route_out denied(const struct session *session, const struct ask *ask)
{
	struct route_out out = {0};

	for (unsigned i = 0; i < SESSION_DENIALS; i++) {
		const struct denial *denial = &session->denials[i];
		if (denial->host && session->gateway->now < denial->until && denial->what == hash_of(ask))
			out.hosts[out.count++] = denial->host;
	}
	return out;
}

static void remember_denial(struct session *session, const struct ask *ask, struct host *host)
{
	struct denial *denial = &session->denials[session->denied_at++ % SESSION_DENIALS];

	if (denial->host)
		denial->host->users--;
	*denial = (struct denial){.host = host, .what = hash_of(ask), .until = session->gateway->now + DENIED_FOR};
	host->users++;
}

/* The host denies it, and it has not run: another one may not. Each is asked once. False: there is none. */
static bool ask_another(struct remote_call *remote)
{
	struct session *session = remote->call.session;
	struct error error;

	if (!remote->block || !picks_any(remote) || remote->told || remote->cancelled || remote->denials == SESSION_DENIALS ||
	    (remote->call.due && call_time_left(&remote->call) == 0))
		return false;
	remember_denial(session, &remote->ask, remote->host);
	remote->denials++;
	const struct route_out out = denied(session, &remote->ask);
	struct host *host = route_other(session->gateway, &remote->ask, &out);
	if (!host || ask_host(remote, host, &error) < 0)
		return false;
	return true;
}

/* Another host may do it: the error says that it has not run, or it may run twice. */
static bool ask_again(struct remote_call *remote, const struct error *lost)
{
	struct gateway *gateway = remote->call.session->gateway;
	struct error error;

	if (!remote->block || !route_is_of_hosts(&remote->ask) || remote->told || remote->cancelled ||
	    ++remote->tries >= TRIES || (lost->ran != RAN_NO && !remote->ask.idempotent) ||
	    (remote->call.due && call_time_left(&remote->call) == 0))
		return false;
	struct host *host = route_one(gateway, &remote->ask, remote->host, &error);
	return host && ask_host(remote, host, &error) == 0;
}

static void on_lost(struct sub *sub, const struct error *error)
{
	struct remote_call *remote = of_sub(sub);
	struct error said;

	remote->may_have_run = remote->may_have_run || error->ran != RAN_NO;
	if (ask_again(remote, error))
		return;
	error_copy(&said, error);
	said.ran = remote->may_have_run ? RAN_MAYBE : RAN_NO;
	said.pool = pool_of(remote);
	if (remote->may_have_run) /* on a host before this one */
		said.code = ERROR_HOST_LOST;
	call_fail(&remote->call, &said);
}

static int ask_host(struct remote_call *remote, struct host *host, struct error *error)
{
	static const struct sub_ops ops = {.response = on_response, .notice = on_notice, .lost = on_lost};
	struct lane *lane = lane_to(remote->call.session, host, error);

	if (!lane)
		return -EHOSTUNREACH;
	set_host(remote, host);
	remote->asked = lane->host->hosts->gateway->now;
	const bool asks = remote->call.is_request;
	const uint32_t number = asks ? lane_number(lane) : 0;
	const bool is_late = remote->call.due && (remote->tries || remote->ask.has_waited);
	ask_write(&remote->ask, lane_begin(lane), number, host->name, is_late ? call_time_left(&remote->call) : UINT64_MAX);
	if (lane_end(lane, asks ? &remote->sub : NULL, number, &ops) == 0)
		return 0;
	error_no_memory(error, RAN_NO);
	return -ENOMEM;
}

/* ---- what the client says ---- */

static void cancel(struct call *call)
{
	of_call(call)->cancelled = true;
	sub_cancel(&of_call(call)->sub);
}

static void feed(struct call *call, struct span items, struct block *block)
{
	struct sub *sub = &of_call(call)->sub;

	sendq_span(sub_notice_begin(sub, "objpool.feed", 1), block, items.bytes, items.size);
	sub_notice_end(sub);
}

static void feed_end(struct call *call, struct span error)
{
	struct sub *sub = &of_call(call)->sub;

	sendq_copy(sub_notice_begin(sub, "objpool.feed_end", error.size > 0), error.bytes, error.size);
	sub_notice_end(sub);
}

static void overdue(struct call *call)
{
	struct remote_call *remote = of_call(call);
	struct error error;

	error_say(&error, ERROR_TIMEOUT, RAN_MAYBE, "the call's time is over, and host %s has not said what became of it",
		  remote->host->name);
	error.host = remote->host->name;
	error.pool = pool_of(remote);
	call_fail(call, &error);
}

static void give_up(struct call *call)
{
	sub_give_up(&of_call(call)->sub, !call->session->closed); /* closed: the lane ends, and with it all that it had */
}

/* The lease that is given back. False: it is none that the gateway knows of. */
static bool take_lease(struct session *session, const struct ask *ask, bool of_hosts, struct remote_lease *lease)
{
	const int64_t slot = number_in(ask->rest, "slot", LEASE_ANY_SLOT);
	const struct span any = {0};

	return leases_take(&session->leases, ask->target.pool, of_hosts ? any : ask->target.host, slot, lease);
}

/* Any host: one that has not denied it, if there is one. */
static struct host *host_to_ask(struct session *session, const struct ask *ask, bool of_hosts, struct error *error)
{
	const struct route_out out = denied(session, ask);
	struct host *other =
		out.count > 0 && of_hosts && ask->target.select == SELECT_ANY ? route_other(session->gateway, ask, &out) : NULL;

	return other ? other : route_one(session->gateway, ask, NULL, error);
}

/* A lease that any host has given is given back to that host; *given is its slot, if that was found out here. */
static struct host *host_for(struct session *session, const struct ask *ask, int64_t *given, struct error *error)
{
	const bool of_hosts = route_is_of_hosts(ask);
	struct remote_lease lease;
	struct ask named = *ask;

	*given = LEASE_ANY_SLOT;
	if (ask->kind == ASK_LEASE && session->leases.count >= LEASES_MAX) {
		error_say(error, ERROR_OVERLOADED, RAN_NO,
			  "this connection has %u leases of other hosts, as many as it may: release some", session->leases.count);
		return NULL;
	}
	if (ask->kind != ASK_RELEASE)
		return host_to_ask(session, ask, of_hosts, error);
	const bool found = take_lease(session, ask, of_hosts, &lease);
	if (!of_hosts)
		return route_one(session->gateway, ask, NULL, error);
	if (!found) {
		error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "this connection has no lease of pool %.*s that any host has given",
			  SPAN_TEXT(ask->target.pool, 64));
		return NULL;
	}
	*given = lease.slot;
	named.target.host = (struct span){.bytes = (const uint8_t *)lease.host, .size = strlen(lease.host)};
	return route_one(session->gateway, &named, NULL, error);
}

/* Adds the slot to objpool.release without one. */
static void name_slot(struct remote_call *remote, int64_t slot)
{
	if (slot == LEASE_ANY_SLOT || remote->ask.rest_count > 0)
		return;
	const uint8_t *end = pack_uint(remote->slot, (uint64_t)slot);
	remote->ask.rest = (struct span){.bytes = remote->slot, .size = (size_t)(end - remote->slot)};
	remote->ask.rest_count = 1;
}

int remote_call_begin(struct session *session, const struct ask *ask, struct block *block)
{
	static const struct call_ops ops = {
		.cancel = cancel, .feed = feed, .feed_end = feed_end, .overdue = overdue, .give_up = give_up, .free = free_call};
	struct error error;
	int64_t slot;
	struct host *host = host_for(session, ask, &slot, &error);

	if (!host) {
		refuse_request(session, &ask->rpc, &error);
		return 0;
	}
	const struct span pool = {.bytes = ask->target.pool.bytes,
				  .size = ask->target.pool.size <= POOL_SHOWN ? ask->target.pool.size : 0};
	struct remote_call *remote = calloc(1, sizeof *remote + pool.size + 1);
	const int r = remote ? call_begin(&remote->call, session, &ask->rpc, &ops) : -ENOMEM;
	if (r < 0) {
		free(remote);
		if (r == -EEXIST)
			return r;
		error_no_memory(&error, RAN_NO);
		refuse_request(session, &ask->rpc, &error);
		return 0;
	}
	remote->ask = *ask;
	memcpy(remote->pool, pool.bytes, pool.size);
	name_slot(remote, slot);
	if (block && (ask->kind == ASK_LEASE || (ask->kind != ASK_RELEASE && route_is_of_hosts(ask))))
		remote->block = block_ref(block);
	if (remote->call.is_request && ask->kind == ASK_LEASE)
		call_limit_time(&remote->call,
				ask->timeout); /* the host ends it: a lease that it gave meanwhile would be nobody's */
	else if (remote->call.is_request)
		call_set_deadline(&remote->call, ask->timeout);
	if (ask_host(remote, host, &error) < 0)
		call_fail(&remote->call, &error);
	else if (!remote->call.is_request)
		call_end(&remote->call);
	return 0;
}
