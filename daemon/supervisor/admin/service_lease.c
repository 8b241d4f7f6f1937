/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin.h"

#include "daemon/core/calls/lease.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/sizing.h"

static int read_lease_option(struct request *request, struct lease_options *options, struct span key, struct reader *value)
{
	uint64_t n;

	if (read_nil(value) == 0)
		return 0; /* it is not given */
	if (read_whole(value, &n) < 0 || n > UINT32_MAX)
		return admin_refuse_params(request, "options of whole numbers: timeout_ms, lease_ms, slot");
	if (span_is(key, "timeout_ms"))
		options->patience = n ? n * MILLISECOND : 1;
	else if (span_is(key, "lease_ms"))
		options->time = n * MILLISECOND;
	else if (span_is(key, "slot"))
		options->slot = (int64_t)n;
	else
		return admin_refuse_params(request, "the options timeout_ms, lease_ms and slot");
	return 0;
}

static int read_lease_options(struct request *request, struct lease_options *options)
{
	struct span key, value;
	uint32_t n;

	if (request->count == 0 || read_nil(&request->args) == 0)
		return 0;
	if (read_map(&request->args, &n) < 0)
		return admin_refuse_params(request, "a pool and a map of options");
	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return admin_refuse_params(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0 || read_lease_option(request, options, key, &look) < 0)
			return -1;
	}
	return 0;
}

int admin_lease(struct request *request)
{
	struct lease_options options = {.slot = -1};
	struct pool *pool = admin_pool(request, RIGHT_CALL);

	if (!pool || read_lease_options(request, &options) < 0)
		return -1;
	if (sizing_on_call(pool) < 0)
		return admin_no_memory(request);
	if (options.slot >= (int64_t)pool->size) {
		pool_say_no_slot(pool, (uint64_t)options.slot, &request->error);
		return -1;
	}
	if (lease_check_place(pool, options.slot, &request->error) < 0 ||
	    lease_check_quota(&request->session->client, &request->error) < 0)
		return -1;
	if (request->rpc->type == RPC_NOTIFICATION)
		return 1; /* nobody would know which */
	if (lease_begin(&request->session->client, request->rpc, pool, &options) == 0)
		return 1;
	return admin_no_memory(request);
}

/* nil leaves `slot` as it is. */
static int read_slot(struct reader *reader, int64_t *slot)
{
	uint64_t number;

	if (read_nil(reader) == 0)
		return 0;
	if (read_whole(reader, &number) < 0 || number > UINT32_MAX)
		return -1;
	*slot = (int64_t)number;
	return 0;
}

/* The slot that is given back: a number, what objpool.lease returned, or nothing: the only one. */
static int read_released(struct request *request, int64_t *slot)
{
	struct span key, value;
	uint32_t n;

	*slot = -1;
	if (request->count == 0 || read_slot(&request->args, slot) == 0)
		return 0;
	if (read_map(&request->args, &n) < 0)
		return -1;
	for (; n > 0 && read_text(&request->args, &key) == 0; n--) {
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0 || (span_is(key, "slot") && read_slot(&look, slot) < 0))
			return -1;
	}
	return n > 0 ? -1 : 0;
}

/* One's own lease may be released whatever rights there are. A lost lease may have outlived its pool. */
static struct pool *pool_to_release(struct request *request)
{
	struct reader look = request->args;
	struct lease *lease;
	struct span name;

	if (request->count == 0 || read_text(&look, &name) < 0)
		return admin_pool(request, RIGHT_CALL);
	admin_take_own_host(request, &name);
	TAILQ_FOREACH(lease, &request->session->client.leases, of_client)
		if (lease->pool && span_is(name, lease->pool->name)) {
			request->args = look;
			request->count--;
			return lease->pool;
		}
	return admin_pool(request, RIGHT_CALL);
}

int admin_release(struct request *request)
{
	struct pool *pool = pool_to_release(request);
	int64_t slot;

	if (!pool)
		return -1;
	if (read_released(request, &slot) < 0)
		return admin_refuse_params(request, "a pool and the slot that was leased");
	struct lease *lease = lease_find(&request->session->client, pool, slot);
	const bool given = lease ? lease->state == LEASE_HELD : lease_give_up(&request->session->client, pool, slot);
	(given ? msgpack_pack_true : msgpack_pack_false)(request->result);
	if (lease)
		lease_release(lease);
	return 0;
}
