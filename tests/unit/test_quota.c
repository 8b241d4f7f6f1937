/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas of users: what counts, the rate on a clock that the test moves, and what changes with the limits. */
#include "tests/unit/core_world.h"

#include "daemon/core/calls/lease.h"
#include "daemon/core/entry/request_train.h"

#define HOUR (3600 * SECOND)

/* Two clients of one user, which may call all. */
struct shared {
	struct core_world world;
	struct rights *rights;
	struct quota *quota;
	struct client a, b;
	struct pool *pool;
};

static void shared_open(struct shared *shared, struct quota_limits limits)
{
	world_open(&shared->world);
	struct core *core = &shared->world.core;
	shared->rights = rights_new("ci", "conf:1");
	shared->quota = quota_get(core, "ci");
	assert_true(shared->rights && shared->quota);
	rights_set_quota(shared->rights, shared->quota);
	assert_int_equal(rights_add(shared->rights, RIGHT_CALL, "*", "*", "conf:2"), 0);
	assert_int_equal(rights_add(shared->rights, RIGHT_ALL, "*", "*", "conf:2"), 0);
	quota_set_limits(shared->quota, &limits);
	client_init(&shared->a, core);
	client_init(&shared->b, core);
	client_set_rights(&shared->a, shared->rights);
	client_set_rights(&shared->b, shared->rights);
	shared->pool = world_pool(&shared->world, "p", 1, &world_settings);
}

static void shared_close(struct shared *shared)
{
	assert_int_equal(shared->quota->inflight, 0);
	assert_int_equal(shared->quota->leases, 0);
	assert_int_equal(shared->quota->directs, 0);
	client_gone(&shared->a);
	client_gone(&shared->b);
	rights_unref(shared->rights);
	world_close(&shared->world);
}

static struct quota_limits rate(uint64_t calls, uint64_t period, uint64_t burst)
{
	return (struct quota_limits){.rate = {.calls = calls, .period = period, .burst = burst}};
}

static int take(struct quota *quota, uint64_t *retry_after)
{
	struct error error = {0};
	const int r = quota_take_call(quota, &error);

	*retry_after = error.retry_after;
	return r;
}

static void test_a_bucket(void **state)
{
	struct shared shared;
	struct quota *quota;
	uint64_t wait;

	(void)state;
	shared_open(&shared, rate(10, SECOND, 3));
	quota = shared.quota;
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(quota, &wait), 0);
	assert_int_equal(take(quota, &wait), -EBUSY);
	assert_int_equal(wait, 100);
	world_pass(&shared.world, SECOND / 10 - 1);
	assert_int_equal(take(quota, &wait), -EBUSY);
	assert_int_equal(wait, 1);
	world_pass(&shared.world, 1);
	assert_int_equal(take(quota, &wait), 0);
	assert_int_equal(take(quota, &wait), -EBUSY);
	world_pass(&shared.world, HOUR);
	assert_int_equal(quota_room(quota), 3);
	quota_take(quota, 2);
	assert_int_equal(quota_room(quota), 1);
	assert_int_equal(quota->overloaded, 3);
	shared_close(&shared);
}

/* Over any time, no more than the burst and what the rate gives in that time. */
static void test_the_rate_holds_in_the_long_run(void **state)
{
	struct shared shared;
	unsigned seed = 3;
	uint64_t wait, begin, taken = 0;

	(void)state;
	shared_open(&shared, rate(1000, 60 * SECOND, 7));
	begin = shared.world.core.now;
	for (int i = 0; i < 100000; i++) {
		shared.world.core.now += (uint64_t)(rand_r(&seed) % 100) * MILLISECOND;
		taken += take(shared.quota, &wait) == 0;
	}
	const uint64_t given = (shared.world.core.now - begin) / (60 * MILLISECOND);
	assert_true(taken <= given + 7 && taken + 10 >= given * 8 / 10);
	shared_close(&shared);
}

static void test_other_limits(void **state)
{
	struct shared shared;
	struct quota_limits limits = rate(1, HOUR, 100);
	uint64_t wait;

	(void)state;
	shared_open(&shared, limits);
	quota_take(shared.quota, 100);
	assert_int_equal(take(shared.quota, &wait), -EBUSY);
	limits = rate(1000, SECOND, 10); /* it is not for hours that the bucket is empty */
	quota_set_limits(shared.quota, &limits);
	assert_int_equal(take(shared.quota, &wait), -EBUSY);
	assert_int_equal(wait, 1);
	world_pass(&shared.world, 5 * MILLISECOND);
	assert_int_equal(quota_room(shared.quota), 5);
	quota_set_limits(shared.quota, &limits); /* the same ones: nothing is given away */
	assert_int_equal(quota_room(shared.quota), 5);
	limits = (struct quota_limits){0};
	quota_set_limits(shared.quota, &limits);
	assert_int_equal(quota_room(shared.quota), UINT32_MAX);
	shared_close(&shared);
}

static void test_the_smaller_limits(void **state)
{
	const struct quota_limits none = {0}, a = {.max_inflight = 5, .rate = {.calls = 10, .period = SECOND, .burst = 50}},
				  b = {.max_inflight = 9, .rate = {.calls = 60, .period = 60 * SECOND, .burst = 90}};

	(void)state;
	struct quota_limits both = quota_smallest(&a, &b);
	assert_int_equal(both.max_inflight, 5);
	assert_int_equal(both.rate.calls, 60);
	assert_int_equal(both.rate.burst, 50);
	both = quota_smallest(&none, &b);
	assert_int_equal(both.max_inflight, 9);
	assert_int_equal(both.rate.calls, 60);
	assert_int_equal(quota_smallest(&none, &none).rate.calls, 0);
}

static void test_one_quota_for_a_name(void **state)
{
	struct shared shared;

	(void)state;
	shared_open(&shared, (struct quota_limits){0});
	struct quota *same = quota_get(&shared.world.core, "ci"), *other = quota_get(&shared.world.core, "c");
	assert_ptr_equal(same, shared.quota);
	assert_ptr_not_equal(other, shared.quota);
	quota_unref(same);
	quota_unref(other);
	shared_close(&shared);
}

static void test_what_is_in_flight(void **state)
{
	struct shared shared;
	struct slot *slot;

	(void)state;
	shared_open(&shared, (struct quota_limits){.max_inflight = 2});
	slot = shared.pool->slots[0];
	world_ask(&shared.a, 1, "p.x", "[i", 1, 1);
	world_ask(&shared.b, 1, "p.x", "[i", 1, 1);
	assert_int_equal(shared.quota->inflight, 2);
	world_ask(&shared.b, 2, "p.x", "[i", 1, 1);
	assert_int_equal(shared.b.inflight.count, 1); /* it was refused */
	assert_int_equal(shared.quota->overloaded, 1);
	world_reply(slot, world_begin(slot), 0);
	assert_int_equal(shared.quota->inflight, 1);
	world_ask(&shared.a, 2, "p.x", "[i", 1, 1);
	world_reply(slot, world_begin(slot), 0);
	world_reply(slot, world_begin(slot), 0);
	shared_close(&shared);
}

/* A call that was answered early counts until its task has ended; so do those of a client that has gone. */
static void test_what_lingers(void **state)
{
	struct shared shared;
	struct slot *slot;

	(void)state;
	shared_open(&shared, (struct quota_limits){.max_inflight = 1});
	slot = shared.pool->slots[0];
	world_ask_in_full(&shared.a, 1, "p", "x", "[{si", 0, 1, "timeout_ms", 10);
	const uint32_t id = world_begin(slot);
	world_pass(&shared.world, 20 * MILLISECOND);
	assert_int_equal(shared.quota->inflight, 0);
	assert_int_equal(shared.quota->lingering, 1);
	world_ask(&shared.b, 1, "p.x", "[i", 1, 1);
	assert_int_equal(shared.quota->overloaded, 1);
	client_gone(&shared.a);
	core_end_event(&shared.world.core);
	assert_int_equal(shared.quota->lingering, 1);
	world_reply(slot, id, 0);
	assert_int_equal(shared.quota->lingering, 0);
	client_init(&shared.a, &shared.world.core);
	shared_close(&shared);
}

/* Other rights: what the client has moves to their quota. */
static void test_another_user(void **state)
{
	const struct lease_options options = {.slot = -1};
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = 9};
	struct shared shared;
	struct rights *rights = rights_new("other", "conf:5");
	struct quota *other;

	(void)state;
	shared_open(&shared, (struct quota_limits){0});
	other = quota_get(&shared.world.core, "other");
	rights_set_quota(rights, other);
	world_ask(&shared.a, 1, "p.x", "[i", 1, 1);
	assert_int_equal(lease_begin(&shared.a, &rpc, shared.pool, &options), 0);
	assert_int_equal(shared.quota->inflight, 2);
	assert_int_equal(shared.quota->leases, 1);
	client_set_rights(&shared.a, rights);
	assert_int_equal(shared.quota->inflight + shared.quota->leases, 0);
	assert_int_equal(other->inflight, 2);
	assert_int_equal(other->leases, 1);
	client_set_rights(&shared.a, NULL);
	assert_int_equal(other->inflight + other->leases, 0);
	client_set_rights(&shared.a, rights);
	client_gone(&shared.a);
	core_end_event(&shared.world.core);
	assert_int_equal(other->inflight + other->leases, 0);
	client_init(&shared.a, &shared.world.core);
	rights_unref(rights);
	shared_close(&shared);
}

static size_t put_requests(uint8_t *bytes, unsigned first, unsigned count)
{
	uint8_t *p = bytes;

	for (unsigned i = 0; i < count; i++) {
		p = pack_uint(pack_uint(pack_array(p, 4), 0), first + i);
		p = pack_uint(pack_array(pack_str(p, "p.x", 3), 1), i);
	}
	return (size_t)(p - bytes);
}

/* A train has no more calls than there is room for. */
static void test_a_train(void **state)
{
	struct shared shared;
	uint8_t bytes[512];
	uint32_t count;

	(void)state;
	shared_open(&shared, (struct quota_limits){.max_inflight = 6, .rate = {.calls = 1, .period = HOUR, .burst = 9}});
	struct slot *slot = shared.pool->slots[0];
	const struct span waiting = {.bytes = bytes, .size = put_requests(bytes, 10, 20)};
	world_ask(&shared.a, 1, "p.x", "[i", 1, 1);
	assert_true(request_train(&shared.a, waiting, &count) > 0);
	assert_int_equal(count, 5);
	assert_int_equal(shared.quota->inflight, 6);
	assert_int_equal(quota_room(shared.quota), 0);
	client_gone(&shared.a);
	core_end_event(&shared.world.core);
	assert_int_equal(shared.quota->inflight, 0);
	while (slot->handed_count > 0)
		world_reply(slot, world_begin(slot), 0);
	core_end_event(&shared.world.core);
	assert_int_equal(shared.quota->lingering, 0);
	assert_int_equal(quota_room(shared.quota), 3);
	client_init(&shared.a, &shared.world.core);
	shared_close(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bucket),	cmocka_unit_test(test_the_rate_holds_in_the_long_run),
		cmocka_unit_test(test_other_limits),	cmocka_unit_test(test_the_smaller_limits),
		cmocka_unit_test(test_one_quota_for_a_name), cmocka_unit_test(test_what_is_in_flight),
		cmocka_unit_test(test_what_lingers),	cmocka_unit_test(test_another_user),
		cmocka_unit_test(test_a_train),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
