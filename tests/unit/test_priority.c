/* SPDX-License-Identifier: Apache-2.0 */
/* Priorities of calls: which is next, how long a lower one waits, and how high a user's calls may be. One instance, whose method
 * is slow; the calls that wait are told apart by their msgids. */
#include "tests/unit/core_world.h"

#include "daemon/core/calls/lease.h"

enum { CLIENTS = 4, MANY = 300, LEVELS = CALL_PRIORITY_MAX - CALL_PRIORITY_MIN + 1 };

struct stage {
	struct core_world world;
	struct pool *pool;
	struct slot *slot;
	struct client clients[CLIENTS];
	unsigned msgid;
};

static void stage_open(struct stage *stage)
{
	*stage = (struct stage){0};
	world_open(&stage->world);
	stage->pool = world_pool(&stage->world, "p", 1, &world_settings);
	stage->slot = stage->pool->slots[0];
	for (int i = 0; i < CLIENTS; i++)
		client_init(&stage->clients[i], &stage->world.core);
}

static void stage_close(struct stage *stage)
{
	for (int i = 0; i < CLIENTS; i++)
		client_gone(&stage->clients[i]);
	core_end_event(&stage->world.core);
	world_close(&stage->world);
}

/* Its msgid. */
static unsigned ask(struct stage *stage, int client, const char *target, int priority)
{
	world_ask_in_full(&stage->clients[client], ++stage->msgid, target, "x", "[{s-", 0, 1, "priority", priority);
	return stage->msgid;
}

static unsigned ask_plainly(struct stage *stage, int client)
{
	world_ask(&stage->clients[client], ++stage->msgid, "p.x", "[", 0);
	return stage->msgid;
}

/* The instance does the task that it has in its hands: the first of the batch. Its call's priority, and msgid. */
static int serve_for(struct stage *stage, unsigned *msgid, uint64_t spent)
{
	const struct batch *batch = TAILQ_FIRST(&stage->slot->handed);

	assert_non_null(batch);
	const struct call *call = batch->call;
	const int priority = call->priority;
	const bool is_item = call->select == SELECT_MAP;
	*msgid = call->ticket.msgid;
	const uint32_t id = world_begin(stage->slot);
	const unsigned item = (unsigned)batch->first;
	world_pass(&stage->world, spent);
	if (!is_item) {
		world_reply(stage->slot, id, spent);
		return priority;
	}
	atomic_store(&board_entry(stage->slot->board, id)->spent, board_spent(spent));
	assert_int_equal(world_say(stage->slot, "[iii[n", 4, FROM_RESULTS, id, item, 1), 0);
	return priority;
}

static int serve(struct stage *stage, unsigned *msgid)
{
	return serve_for(stage, msgid, 10 * MILLISECOND);
}

static void expect(struct stage *stage, unsigned msgid)
{
	unsigned served;

	(void)serve(stage, &served);
	assert_int_equal(served, msgid);
}

/* ---- the order ---- */

static void a_higher_one_is_next(void **state)
{
	struct stage stage;
	unsigned low[5], high[3], lowest;

	(void)state;
	stage_open(&stage);
	const unsigned first = ask_plainly(&stage, 0);
	lowest = ask(&stage, 2, "p", -10);
	for (int i = 0; i < 5; i++)
		low[i] = ask_plainly(&stage, 0);
	for (int i = 0; i < 3; i++)
		high[i] = ask(&stage, 1, "p", 5);
	const unsigned own = ask(&stage, 0, "p", 6); /* also before what its own client has waiting */
	expect(&stage, first); /* it ran already */
	expect(&stage, own);
	for (int i = 0; i < 3; i++)
		expect(&stage, high[i]);
	for (int i = 0; i < 5; i++)
		expect(&stage, low[i]);
	expect(&stage, lowest);
	stage_close(&stage);
}

/* Of one priority, clients take turns, and each one's calls stay in their order. */
static void of_one_priority_clients_take_turns(void **state)
{
	struct stage stage;
	unsigned calls[2][6];

	(void)state;
	stage_open(&stage);
	const unsigned first = ask_plainly(&stage, 3);
	for (int c = 0; c < 2; c++)
		for (int i = 0; i < 6; i++)
			calls[c][i] = ask(&stage, c, "p", 3);
	expect(&stage, first);
	for (int i = 0; i < 12; i++)
		expect(&stage, calls[i % 2][i / 2]);
	stage_close(&stage);
}

/* What is addressed to an instance, and what any may do. */
static void a_higher_one_is_next_in_the_other_queue_too(void **state)
{
	struct stage stage;
	unsigned msgid;

	(void)state;
	for (int high = 0; high < 2; high++) {
		stage_open(&stage);
		(void)ask_plainly(&stage, 0);
		for (int i = 0; i < 8; i++) {
			(void)ask(&stage, 0, "p", high == 0 ? 4 : 0);
			(void)ask(&stage, 1, "p:0", high == 0 ? 0 : 4);
		}
		(void)serve(&stage, &msgid);
		for (int i = 0; i < 16; i++)
			assert_int_equal(serve(&stage, &msgid), i < 8 ? 4 : 0);
		stage_close(&stage);
	}
}

/* A long map gives way to each higher call. */
static void items_of_a_map_have_its_priority(void **state)
{
	struct stage stage;
	unsigned msgid;

	(void)state;
	stage_open(&stage);
	world_ask_in_full(&stage.clients[0], ++stage.msgid, "p:map", "x", "[[iiiii{s-si", 1, 5, 1, 2, 3, 4, 5, 2, "priority", -2,
			  "chunk", 1);
	for (int i = 0; i < 2; i++) {
		const unsigned higher = ask_plainly(&stage, 0);
		(void)serve(&stage, &msgid); /* an item */
		assert_int_equal(msgid, 1);
		expect(&stage, higher);
	}
	const unsigned lower = ask(&stage, 0, "p", -3);
	for (int i = 0; i < 3; i++)
		expect(&stage, 1);
	expect(&stage, lower);
	stage_close(&stage);
}

/* Instances get sticky calls in the order in which they came: later instances get them in the same order. */
static void sticky_calls_have_no_priority(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	const unsigned first = ask_plainly(&stage, 0);
	world_ask_in_full(&stage.clients[0], 101, "p:all", "x", "[{s-ss", 0, 2, "priority", -5, "sticky", "append");
	world_ask_in_full(&stage.clients[0], 102, "p:all", "x", "[{s-ss", 0, 2, "priority", 5, "sticky", "append");
	expect(&stage, first);
	expect(&stage, 101);
	expect(&stage, 102);
	stage_close(&stage);
}

static void the_holder_of_a_lease_has_priorities_too(void **state)
{
	const struct lease_options options = {.slot = 0};
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = 1000};
	struct stage stage;
	unsigned msgid;

	(void)state;
	stage_open(&stage);
	assert_int_equal(lease_begin(&stage.clients[0], &rpc, stage.pool, &options), 0);
	core_end_event(&stage.world.core);
	assert_true(stage.slot->holder == stage.clients[0].id);
	(void)ask(&stage, 1, "p:0", 10); /* waits for the end of the lease */
	const unsigned first = ask(&stage, 0, "p:0", 0), low = ask(&stage, 0, "p:0", -1), high = ask(&stage, 0, "p:0", 1);
	expect(&stage, first);
	expect(&stage, high);
	expect(&stage, low);
	assert_true(TAILQ_EMPTY(&stage.slot->handed));
	lease_release(TAILQ_FIRST(&stage.clients[0].leases));
	world_pass(&stage.world, 0);
	assert_int_equal(serve(&stage, &msgid), 10);
	stage_close(&stage);
}

static void values_are_checked(void **state)
{
	static const int good[] = {-10, -1, 0, 10}, bad[] = {-11, 11, 1000, -1000000};
	struct stage stage;

	(void)state;
	stage_open(&stage);
	for (size_t i = 0; i < 4; i++) {
		(void)ask(&stage, 0, "p", bad[i]);
		assert_int_equal(stage.clients[0].inflight.count, 0);
	}
	world_ask_in_full(&stage.clients[0], ++stage.msgid, "p", "x", "[{ss", 0, 1, "priority", "high");
	world_ask_in_full(&stage.clients[0], ++stage.msgid, "p", "x", "[{st", 0, 1, "priority");
	assert_int_equal(stage.clients[0].inflight.count, 0);
	for (size_t i = 0; i < 4; i++)
		(void)ask(&stage, 0, "p", good[i]);
	world_ask_in_full(&stage.clients[0], ++stage.msgid, "p", "x", "[{sn", 0, 1, "priority");
	assert_int_equal(stage.clients[0].inflight.count, 5);
	stage_close(&stage);
}

/* ---- nothing starves ---- */

/* A call that waits beside calls that are `higher` by so much, of which there always are two. How many of them pass it. */
static int passed_by(struct stage *stage, int priority, int higher, const char *target)
{
	unsigned msgid;
	int passed = -1; /* what ran already */

	(void)ask(stage, 1, target, priority + higher);
	(void)ask(stage, 1, target, priority + higher);
	const unsigned waits = ask(stage, 0, target, priority);
	while ((void)serve(stage, &msgid), msgid != waits) {
		passed++;
		(void)ask(stage, 1, target, priority + higher);
	}
	while (!TAILQ_EMPTY(&stage->slot->handed))
		(void)serve(stage, &msgid);
	return passed;
}

static void a_lower_one_is_passed_by_no_more_than_the_rule_says(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	for (int higher = 1; higher <= 20; higher++)
		for (int priority = -10; priority + higher <= 10; priority += 3) {
			assert_int_equal(passed_by(&stage, priority, higher, "p"), QUEUE_AGING * higher);
			assert_int_equal(passed_by(&stage, priority, higher, "p:0"), QUEUE_AGING * higher);
		}
	stage_close(&stage);
}

/* Calls that any instance may do, beside calls that are addressed to it. */
static void nor_do_the_two_queues_starve_each_other(void **state)
{
	static const char *const targets[2] = {"p", "p:0"};
	struct stage stage;
	unsigned msgid;

	(void)state;
	for (int low = 0; low < 2; low++) {
		int passed = 0;
		stage_open(&stage);
		(void)ask(&stage, 1, targets[!low], 7);
		(void)ask(&stage, 1, targets[!low], 7);
		(void)ask(&stage, 0, targets[low], 5);
		while (serve(&stage, &msgid) != 5) {
			passed++;
			(void)ask(&stage, 1, targets[!low], 7);
		}
		assert_in_range(passed, 2 * QUEUE_AGING - 1, 2 * QUEUE_AGING + 2);
		stage_close(&stage);
	}
}

/* A short call ends, and its client asks again: the slot's hands are never empty. How many of them pass the slow one. */
static int short_ones_before(struct stage *stage, const char *flood, const char *slow)
{
	unsigned msgid;

	for (int i = 0; i < 4; i++) { /* both are measured */
		world_ask(&stage->clients[0], ++stage->msgid, "p.slow", "[", 0);
		(void)serve_for(stage, &msgid, 5 * MILLISECOND);
		world_ask(&stage->clients[0], ++stage->msgid, "p.short", "[", 0);
		(void)serve_for(stage, &msgid, MILLISECOND / 5);
	}
	for (int i = 0; i < 20; i++)
		world_ask(&stage->clients[1], ++stage->msgid, flood, "[", 0);
	world_ask(&stage->clients[0], ++stage->msgid, slow, "[", 0);
	const unsigned waits = stage->msgid;
	for (int passed = 0; passed < 100; passed++) {
		(void)serve_for(stage, &msgid, MILLISECOND / 5);
		if (msgid == waits)
			return passed;
		world_ask(&stage->clients[1], ++stage->msgid, flood, "[", 0);
	}
	return 100;
}

/* What takes too long to be handed ahead, in one queue, beside many short calls in the other. */
static void a_slow_call_has_its_turn_among_short_ones(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	assert_in_range(short_ones_before(&stage, "p:0.short", "p.slow"), 1, 12);
	stage_close(&stage);
	stage_open(&stage);
	assert_in_range(short_ones_before(&stage, "p.short", "p:0.slow"), 1, 12);
	stage_close(&stage);
}

/* What the rule says, played beside the core: calls of each priority that wait, and how often each priority was passed over. */
struct model {
	unsigned calls[LEVELS][CLIENTS][MANY]; /* msgids, in their order */
	int first[LEVELS][CLIENTS], end[LEVELS][CLIENTS];
	int waiting[LEVELS];
	int passed[LEVELS];
	int count;
};

static void model_add(struct model *model, int level, int client, unsigned msgid)
{
	if (model->waiting[level]++ == 0)
		model->passed[level] = 0;
	model->calls[level][client][model->end[level][client]++ % MANY] = msgid;
	model->count++;
}

static int model_next(const struct model *model)
{
	int next = -1;

	for (int i = 0; i < LEVELS; i++) { /* of two that count the same, the lower one */
		const int counts = i * QUEUE_AGING + model->passed[i];
		if (model->waiting[i] > 0 && (next < 0 || counts > next * QUEUE_AGING + model->passed[next]))
			next = i;
	}
	return next;
}

/* It must be the first of some client's calls of that priority. */
static void model_take(struct model *model, int level, unsigned msgid)
{
	bool found = false;

	for (int c = 0; c < CLIENTS && !found; c++) {
		found = model->first[level][c] < model->end[level][c] &&
			model->calls[level][c][model->first[level][c] % MANY] == msgid;
		model->first[level][c] += found;
	}
	assert_true(found);
	for (int i = 0; i < LEVELS; i++)
		model->passed[i]++;
	model->passed[level] = 0;
	model->waiting[level]--;
	model->count--;
	for (int i = 0; i < LEVELS; i++) /* the longest that any priority waits */
		assert_true(model->waiting[i] == 0 || model->passed[i] <= QUEUE_AGING * (LEVELS - 1 - i) + LEVELS);
}

/* The core's next call is in the instance's hands: it was chosen before this turn's calls came. */
static void random_turn(struct stage *stage, struct model *model, unsigned *seed)
{
	const int asks = model->count < 40 ? rand_r(seed) % 3 : 1;
	unsigned msgid;

	for (int i = 0; i < asks; i++) {
		const int level = rand_r(seed) % 3 ? LEVELS - 1 - rand_r(seed) % 2 : rand_r(seed) % LEVELS;
		const int client = rand_r(seed) % CLIENTS;
		model_add(model, level, client, ask(stage, client, "p", level + CALL_PRIORITY_MIN));
	}
	if (model->count == 0)
		return;
	const uint32_t id = world_begin(stage->slot);
	world_pass(&stage->world, 10 * MILLISECOND);
	world_reply(stage->slot, id, 10 * MILLISECOND);
	const int next = model_next(model);
	const struct batch *batch = TAILQ_FIRST(&stage->slot->handed);
	assert_int_equal(batch->call->priority, next + CALL_PRIORITY_MIN);
	msgid = batch->call->ticket.msgid;
	model_take(model, next, msgid);
}

static void random_calls_have_the_turns_that_the_rule_says(void **state)
{
	struct stage stage;

	(void)state;
	for (unsigned round = 1; round <= 20; round++) {
		struct model *model = calloc(1, sizeof *model);
		unsigned seed = round;
		stage_open(&stage);
		(void)ask_plainly(&stage, 0);
		for (int i = 0; i < 500; i++)
			random_turn(&stage, model, &seed);
		free(model);
		stage_close(&stage);
	}
}

/* ---- users ---- */

static struct rights *rights_of(struct stage *stage, const char *name, int max_priority)
{
	const struct quota_limits limits = {.max_priority = (int8_t)max_priority};
	struct rights *rights = rights_new(name, "conf:1");

	rights_set_quota(rights, quota_get(&stage->world.core, name));
	quota_set_limits(rights->quota, &limits);
	assert_int_equal(rights_add(rights, RIGHT_CALL, "*", "*", "conf:2"), 0);
	return rights;
}

static void expect_priority(struct stage *stage, int client, int asked, int priority)
{
	unsigned msgid;

	(void)ask(stage, client, "p", asked);
	assert_int_equal(serve(stage, &msgid), priority);
}

static void a_users_max_priority_bounds_its_calls(void **state)
{
	struct stage stage;
	unsigned msgid;

	(void)state;
	stage_open(&stage);
	struct rights *some = rights_of(&stage, "some", 3), *none = rights_of(&stage, "none", 0);
	struct rights *batch = rights_of(&stage, "batch", -4);
	client_set_rights(&stage.clients[0], some);
	client_set_rights(&stage.clients[1], none);
	client_set_rights(&stage.clients[2], batch);
	expect_priority(&stage, 0, 10, 3);
	expect_priority(&stage, 0, 2, 2);
	expect_priority(&stage, 1, 1, 0);
	expect_priority(&stage, 1, -1, -1);
	expect_priority(&stage, 2, 10, -4);
	expect_priority(&stage, 2, -7, -7);
	expect_priority(&stage, 3, 10, 10); /* it is no user's: there are no limits */
	(void)ask_plainly(&stage, 2); /* without the option, too */
	assert_int_equal(serve(&stage, &msgid), -4);
	(void)ask_plainly(&stage, 0);
	assert_int_equal(serve(&stage, &msgid), 0);
	quota_set_limits(some->quota, &(struct quota_limits){.max_priority = 5}); /* as a reload does */
	expect_priority(&stage, 0, 10, 5);
	for (int i = 0; i < 3; i++)
		client_set_rights(&stage.clients[i], NULL);
	rights_unref(some);
	rights_unref(none);
	rights_unref(batch);
	stage_close(&stage);
}

static void the_smallest_max_priority_of_two_users_holds(void **state)
{
	const struct quota_limits one = {.max_priority = 3}, two = {.max_priority = -2};

	(void)state;
	assert_int_equal(quota_smallest(&one, &two).max_priority, -2);
	assert_int_equal(quota_smallest(&two, &one).max_priority, -2);
}

/* ---- calls that methods make ---- */

static void a_nested_call_has_the_priority_of_the_methods_own(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	struct pool *q = world_pool(&stage.world, "q", 1, &world_settings);
	struct slot *other = q->slots[0];
	(void)ask(&stage, 0, "p", 7);
	const uint32_t outer = world_begin(stage.slot);
	assert_int_equal(world_say(stage.slot, "[iis[", 4, FROM_INVOKE, outer, "q.x", 0), 0);
	assert_int_equal(TAILQ_FIRST(&other->handed)->call->priority, 7);
	world_reply(other, world_begin(other), MILLISECOND);
	assert_int_equal(world_say(stage.slot, "[iis[ss[{s-", 4, FROM_INVOKE, outer, "objpool.call", 4, "q", "x", 0, 1,
				   "priority", -1),
			 0);
	assert_int_equal(TAILQ_FIRST(&other->handed)->call->priority, -1); /* it names another */
	world_reply(other, world_begin(other), MILLISECOND);
	world_reply(stage.slot, outer, MILLISECOND);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_higher_one_is_next),
		cmocka_unit_test(of_one_priority_clients_take_turns),
		cmocka_unit_test(a_higher_one_is_next_in_the_other_queue_too),
		cmocka_unit_test(items_of_a_map_have_its_priority),
		cmocka_unit_test(sticky_calls_have_no_priority),
		cmocka_unit_test(the_holder_of_a_lease_has_priorities_too),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(a_lower_one_is_passed_by_no_more_than_the_rule_says),
		cmocka_unit_test(nor_do_the_two_queues_starve_each_other),
		cmocka_unit_test(a_slow_call_has_its_turn_among_short_ones),
		cmocka_unit_test(random_calls_have_the_turns_that_the_rule_says),
		cmocka_unit_test(a_users_max_priority_bounds_its_calls),
		cmocka_unit_test(the_smallest_max_priority_of_two_users_holds),
		cmocka_unit_test(a_nested_call_has_the_priority_of_the_methods_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
