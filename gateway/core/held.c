/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/held.h"

#include "gateway/core/call.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_EVERY (100 * MILLISECOND)

struct held_request {
	TAILQ_ENTRY(held_request) entry;
	struct session *session; /* it lives for as long as it has such requests */
	struct block *block;
	struct span message;
	uint64_t since; /* it waits */
};

TAILQ_HEAD(held_request_list, held_request);

/* All that wait. */
struct held {
	struct gateway *gateway;
	struct held_request_list list;
	uint32_t count;
	bool releasing;
	uint64_t since; /* of the request that is being taken again; 0: none is */
	struct timer look;
};

static void drop(struct held *held, struct held_request *request)
{
	TAILQ_REMOVE(&held->list, request, entry);
	held->count--;
	request->session->held--;
	account_credit(&held->gateway->memory, sizeof *request);
	block_unref(request->block);
	free(request);
}

static void on_look(struct timer *timer)
{
	held_release(container_of(timer, struct held, look)->gateway);
}

int held_open(struct gateway *gateway)
{
	struct held *held = calloc(1, sizeof *held);

	if (!held)
		return -ENOMEM;
	gateway->clients->held = held;
	held->gateway = gateway;
	TAILQ_INIT(&held->list);
	return timer_open(&gateway->timers, &held->look, on_look);
}

void held_close(struct gateway *gateway)
{
	struct held *held = gateway->clients->held;

	if (!held)
		return;
	while (!TAILQ_EMPTY(&held->list))
		drop(held, TAILQ_FIRST(&held->list));
	timer_close(&gateway->timers, &held->look);
	free(held);
	gateway->clients->held = NULL;
}

int held_add(struct session *session, struct span message, struct block *block)
{
	struct gateway *gateway = session->gateway;
	struct held *held = gateway->clients->held;

	if (held->count >= HELD_MAX)
		return -ENOBUFS;
	struct held_request *request = calloc(1, sizeof *request);
	if (!request)
		return -ENOMEM;
	request->block = block ? block_ref(block) : block_new(&gateway->memory, message.size);
	if (!request->block) {
		free(request);
		return -ENOMEM;
	}
	request->session = session;
	session->held++;
	request->message = message;
	request->since = gateway->now - held_waited(gateway);
	if (!block) {
		memcpy(request->block->bytes, message.bytes, message.size);
		request->message.bytes = request->block->bytes;
	}
	account_charge(&gateway->memory, sizeof *request);
	TAILQ_INSERT_TAIL(&held->list, request, entry);
	held->count++;
	if (!timer_is_set(&held->look))
		timer_set(&gateway->timers, &held->look, gateway->now + LOOK_EVERY);
	return 0;
}

/* The request that waits, and that `about` (cancel, feed, feed_end) names. NULL: none does. */
static struct held_request *find(struct session *session, const struct rpc *about, struct rpc *rpc)
{
	struct reader reader = reader_of(about->params);
	struct held_request *request;
	uint32_t count;
	uint64_t msgid;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &msgid) < 0)
		return NULL;
	TAILQ_FOREACH(request, &session->gateway->clients->held->list, entry)
		if (request->session == session && rpc_parse(request->message, rpc) == 0 && rpc->type == RPC_REQUEST &&
		    rpc->msgid == msgid)
			return request;
	return NULL;
}

bool held_cancel(struct session *session, const struct rpc *cancel)
{
	struct error error;
	struct rpc rpc;
	struct held_request *request = find(session, cancel, &rpc);

	if (!request)
		return false;
	error_say(&error, ERROR_CANCELLED, RAN_NO, "the call was cancelled by its caller");
	refuse_request(session, &rpc, &error);
	drop(session->gateway->clients->held, request);
	return true;
}

bool held_feed(struct session *session, const struct rpc *feed, struct span message, struct block *block)
{
	struct held *held = session->gateway->clients->held;
	struct held_request *request;
	struct error error;
	struct rpc rpc;

	if (held->count == 0 || !(request = find(session, feed, &rpc)))
		return false;
	if (held_add(session, message, block) < 0) { /* without it the request would wait for its items for ever */
		error_say(&error, ERROR_OVERLOADED, RAN_NO, "there is no room for what is fed to a call that waits");
		refuse_request(session, &rpc, &error);
		drop(held, request);
	}
	return true;
}

uint64_t held_waited(const struct gateway *gateway)
{
	const struct held *held = gateway->clients->held;
	return held->since ? gateway->now - held->since : 0;
}

uint32_t held_count(const struct gateway *gateway)
{
	return gateway->clients->held->count;
}

static void take_first(struct held *held)
{
	struct held_request *request = TAILQ_FIRST(&held->list);
	struct session *session = request->session;
	struct block *block = block_ref(request->block);
	const struct span message = request->message;

	held->since = request->since;
	drop(held, request);
	held->gateway->clients->take(session, message, block);
	held->since = 0;
	block_unref(block);
	if (session->closed && session->held == 0 && TAILQ_EMPTY(&session->list))
		held->gateway->clients->idle(session);
}

void held_release(struct gateway *gateway)
{
	struct held *held = gateway->clients->held;
	/* Some may be held again: they come behind the last. */
	const struct held_request *last = TAILQ_LAST(&held->list, held_request_list);
	bool goes_on = last && !held->releasing;

	if (!goes_on)
		return;
	held->releasing = true;
	while (goes_on && !TAILQ_EMPTY(&held->list)) {
		goes_on = TAILQ_FIRST(&held->list) != last;
		take_first(held);
	}
	held->releasing = false;
}

static bool is_notification(const struct held_request *request)
{
	struct rpc rpc;

	return rpc_parse(request->message, &rpc) == 0 && rpc.type == RPC_NOTIFICATION;
}

void held_drop(struct session *session, bool all)
{
	struct held *held = session->gateway->clients->held;
	struct held_request *request, *next;

	for (request = TAILQ_FIRST(&held->list); request; request = next) {
		next = TAILQ_NEXT(request, entry);
		if (request->session == session && (all || !is_notification(request)))
			drop(held, request);
	}
}
