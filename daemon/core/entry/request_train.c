/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/entry/request_train.h"

#include "daemon/core/calls/call_life.h"
#include "daemon/core/records/pool.h"
#include "proto/scan.h"

/* ---- one request ---- */

static const uint8_t *pass_msgid(const uint8_t *p, const uint8_t *end, uint32_t *msgid)
{
	if (p < end && *p < 0x80) {
		*msgid = *p;
		return p + 1;
	}
	const unsigned size = p < end && *p >= 0xcc && *p <= 0xce ? 1u << (*p - 0xcc) : 0;
	if (size == 0 || (size_t)(end - p) <= size)
		return NULL;
	*msgid = 0;
	for (unsigned i = 1; i <= size; i++)
		*msgid = *msgid << 8 | p[i];
	return p + 1 + size;
}

/* Skips the text if it is the method that the client called last. NULL: it isn't. */
static const uint8_t *pass_method(const uint8_t *p, const uint8_t *end, const struct client_memo *memo)
{
	const size_t head = memo->size < 32 ? 1 : 2;

	if ((size_t)(end - p) < head + memo->size)
		return NULL;
	if (head == 1 ? p[0] != (0xa0 | memo->size) : p[0] != 0xd9 || p[1] != memo->size)
		return NULL;
	return memcmp(p + head, memo->text, memo->size) == 0 ? p + head + memo->size : NULL;
}

/* Skips an array of up to 15 values of fixed size (numbers, short strings), which needs no scan. NULL: it has other values. */
static const uint8_t *pass_flat_params(const uint8_t *p, const uint8_t *end)
{
	unsigned n = *p++ & 15;

	for (; n > 0 && p < end && scan_fixed(*p) > 0; n--)
		p += scan_fixed(*p);
	return n == 0 && p <= end ? p : NULL;
}

/* Skips the arguments. NULL: they are no whole array, or have values that must be looked at (descriptors, deep nesting). */
static const uint8_t *pass_params(const uint8_t *p, const uint8_t *end)
{
	struct scan scan;

	if (p >= end || ((*p & 0xf0) != 0x90 && *p != 0xdc))
		return NULL;
	const uint8_t *flat = (*p & 0xf0) == 0x90 ? pass_flat_params(p, end) : NULL;
	if (flat)
		return flat;
	scan_begin(&scan, TRAIN_REQUEST);
	if (scan_run(&scan, p, (size_t)(end - p)) != 1 || scan.deepest > SCAN_LEVELS || scan.deep || scan.refs > 0)
		return NULL;
	return p + scan.pos;
}

/* Skips a whole plain request. NULL: these bytes are none. */
static const uint8_t *pass_request(const struct client *client, const uint8_t *p, const uint8_t *end, uint32_t *msgid)
{
	if (end - p < 4 || p[0] != 0x94 || p[1] != RPC_REQUEST)
		return NULL;
	const uint8_t *at = pass_msgid(p + 2, end, msgid);
	at = at ? pass_method(at, end, &client->memo) : NULL;
	at = at ? pass_params(at, end) : NULL;
	return at && at - p <= TRAIN_REQUEST ? at : NULL;
}

/* ---- a train of them ---- */

/* A plain request that was found in the bytes that have come. */
struct plain_request {
	uint32_t msgid;
	uint32_t size; /* bytes of the whole request */
};

static uint32_t size_of_all(const struct plain_request *requests, uint32_t count)
{
	uint32_t size = 0;
	for (uint32_t i = 0; i < count; i++)
		size += requests[i].size;
	return size;
}

/* Gives each request its passenger. */
static void seat(struct call *call, const struct plain_request *requests)
{
	struct train *train = call->train;
	uint32_t at = 0;

	for (uint32_t i = 0; i < train->count; i++) {
		struct passenger *passenger = &train->passengers[i];
		passenger->ticket.msgid = requests[i].msgid;
		passenger->ticket.client = NULL;
		passenger->call = call;
		passenger->at = at;
		passenger->size = requests[i].size;
		at += requests[i].size;
	}
}

/* A new call for these requests, which begin at `bytes`; it keeps a copy. It has no tickets, pool or batches yet. NULL: out of
 * memory. */
static struct call *train_new(struct client *client, const uint8_t *bytes, const struct plain_request *requests, uint32_t count)
{
	const uint32_t size = size_of_all(requests, count);
	const size_t passengers = sizeof(struct train) + count * sizeof(struct passenger);
	struct call *call = call_new_with(client, passengers + size);

	if (!call)
		return NULL;
	call->select = SELECT_ANY;
	call->train = (struct train *)(call + 1);
	call->columns = 1;
	call->size = size;
	uint8_t *copy = (uint8_t *)call->train + passengers;
	memcpy(copy, bytes, size);
	call->train->bytes = copy;
	call->train->count = count;
	seat(call, requests);
	return call;
}

/* How many calls may begin together: none, unless each of them would be accepted by itself. */
static uint32_t room_for(const struct client *client)
{
	const struct core *core = client->core;
	const struct pool *pool = pool_of_memo(client);
	const uint64_t inflight = client->inflight.count + (uint64_t)client->notified;

	if (!pool || client->hung_up || client_is_greedy(client) || !pool_is_available(pool) ||
	    inflight >= core->limits.max_inflight || pool->waiting >= pool->settings.max_queue)
		return 0;
	uint64_t room = core->limits.max_inflight - inflight;
	if (room > pool->settings.max_queue - pool->waiting)
		room = pool->settings.max_queue - pool->waiting;
	if (client->quota && room > quota_room(client->quota))
		room = quota_room(client->quota);
	return room < TRAIN_CALLS ? (uint32_t)room : TRAIN_CALLS;
}

static struct span method_of(const struct call *call, const struct client_memo *memo)
{
	const uint8_t *request = call->train->bytes, *end = request + call->train->passengers[0].size;
	const size_t before = strlen(memo->pool->name) + 1;
	uint32_t msgid;

	const uint8_t *text = pass_msgid(request + 2, end, &msgid) + (memo->size < 32 ? 1 : 2);
	return (struct span){.bytes = text + before, .size = memo->size - before};
}

size_t request_train(struct client *client, struct span waiting, uint32_t *count)
{
	const uint8_t *p = waiting.bytes, *end = p + waiting.size, *next;
	struct plain_request requests[TRAIN_CALLS];
	const uint32_t room = room_for(client);
	uint32_t n = 0;
	size_t bytes = 0;

	for (; n < room && client->pending + bytes <= client->core->limits.max_pending; n++, p = next) {
		next = pass_request(client, p, end, &requests[n].msgid);
		if (!next)
			break;
		requests[n].size = (uint32_t)(next - p);
		bytes += requests[n].size;
	}
	if (n < 2)
		return 0;
	struct call *call = train_new(client, waiting.bytes, requests, n);
	if (!call)
		return 0; /* without memory for a train, each request comes in by itself */
	call->pool = client->memo.pool;
	call->method = client->memo.method;
	call->name = method_of(call, &client->memo);
	*count = call_begin_train(call, client);
	if (client->quota)
		quota_take(client->quota, *count);
	bytes = 0;
	for (uint32_t i = 0; i < *count; i++)
		bytes += requests[i].size;
	return bytes;
}
