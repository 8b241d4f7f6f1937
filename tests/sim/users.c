/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/users.h"

#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "tests/sim/question.h"

#include <stdlib.h>

static const char *const names[USERS] = {"a", "b"};
static const char *const methods[USERS_METHODS] = {"echo", "gen"};

/* ---- grants ---- */

static void add_rule(struct rights *rights, enum right right, const char *pool, const char *method)
{
	if (rights_add(rights, right, pool, method, "conf:1") < 0)
		abort();
}

/* Everything is allowed, but some methods are denied in every form. */
static void fill_by_denials(struct world *world, struct grant *grant)
{
	add_rule(grant->rights, RIGHT_CALL, "*", "*");
	add_rule(grant->rights, RIGHT_ALL, "*", "*");
	for (unsigned pool = 0; pool < WORLD_POOLS; pool++)
		for (unsigned method = 0; method < USERS_METHODS; method++) {
			const bool denied = world_one_in(world, 5);
			if (denied)
				add_rule(grant->rights, RIGHT_DENY, world_pool_name(pool), methods[method]);
			grant->call[pool][method] = grant->all[pool][method] = !denied;
		}
}

/* Only what a rule names is allowed. */
static void fill_by_rules(struct world *world, struct grant *grant, enum right right, bool table[WORLD_POOLS][USERS_METHODS])
{
	static const char *const patterns[USERS_METHODS][3] = {{"echo", "e*", "*ch*"}, {"gen", "g*n", "*en"}};

	for (unsigned pool = 0; pool < WORLD_POOLS; pool++)
		for (unsigned method = 0; method < USERS_METHODS; method++) {
			table[pool][method] = world_dice(world, 4) > 0;
			if (table[pool][method])
				add_rule(grant->rights, right, world_pool_name(pool), patterns[method][world_dice(world, 3)]);
		}
}

struct grant *users_grant(const struct world *world, int user)
{
	struct grant *found = NULL;

	for (uint32_t i = 0; i < world->grant_count; i++)
		if (world->grants[i].user == user)
			found = &world->grants[i];
	return found;
}

static struct grant *add_grant(struct world *world, int user)
{
	world->grants = realloc(world->grants, (world->grant_count + 1) * sizeof *world->grants);
	struct grant *grant = &world->grants[world->grant_count++];
	*grant = (struct grant){.user = user};
	if (user < 0)
		return grant;
	grant->rights = rights_new(names[user], "conf:1");
	rights_set_quota(grant->rights, quota_get(&world->core, names[user]));
	add_rule(grant->rights, RIGHT_DIRECT, world_pool_name(world_dice(world, WORLD_POOLS)), NULL);
	if (world_one_in(world, 2)) {
		fill_by_denials(world, grant);
	} else {
		fill_by_rules(world, grant, RIGHT_CALL, grant->call);
		fill_by_rules(world, grant, RIGHT_ALL, grant->all);
	}
	return grant;
}

static void set_limits(struct world *world, struct quota *quota)
{
	struct quota_limits limits = {0};

	if (world_one_in(world, 2))
		limits.max_inflight = 1 + world_dice(world, 60);
	if (world_one_in(world, 3))
		limits.rate = (struct quota_rate){
			.calls = 1 + world_dice(world, 1000), .period = SECOND, .burst = 1 + world_dice(world, 100)};
	if (world_one_in(world, 4) && !world->flavour.calm)
		limits.max_memory = 20000u << world_dice(world, 5);
	limits.max_priority = CALL_PRIORITY_MAX;
	if (world_one_in(world, 2))
		limits.max_priority = (int8_t)(CALL_PRIORITY_MAX - (int)world_dice(world, 21));
	quota_set_limits(quota, &limits);
}

/* ---- a world's life ---- */

/* Grant 0 is of clients that are no user's. */
void users_begin(struct world *world)
{
	(void)add_grant(world, -1);
	for (int user = 0; user < USERS && world->flavour.users; user++)
		set_limits(world, add_grant(world, user)->rights->quota);
}

void users_end(struct world *world)
{
	for (uint32_t i = 0; i < world->grant_count; i++)
		rights_unref(world->grants[i].rights);
	free(world->grants);
}

static uint32_t some_grant(struct world *world)
{
	const int user = world->flavour.users ? (int)world_dice(world, USERS + 1) - 1 : -1;
	return (uint32_t)(users_grant(world, user) - world->grants);
}

uint32_t users_enter(struct world *world, struct client *client)
{
	const uint32_t number = some_grant(world);
	struct error error;

	client_set_rights(client, world->grants[number].rights);
	if (client_enter(client, &error) < 0)
		world_fail(world, "a client is turned away, and there is no limit of sessions");
	return number;
}

void users_renew(struct world *world)
{
	for (int user = 0; user < USERS; user++)
		set_limits(world, add_grant(world, user)->rights->quota);
}

uint32_t users_next(struct world *world, uint32_t number)
{
	if (world_one_in(world, 6))
		return some_grant(world);
	return (uint32_t)(users_grant(world, world->grants[number].user) - world->grants);
}

/* ---- judging ---- */

static bool may_any(const struct grant *grant, unsigned pool)
{
	return grant->call[pool][0] || grant->call[pool][1];
}

static bool is_allowed(const struct grant *grant, const struct question *question, bool files)
{
	const unsigned pool = question->pool;

	if (grant->user < 0)
		return true;
	if (question->kind == KIND_ALL)
		return grant->all[pool][question->yields] && (!files || may_any(grant, pool));
	return grant->call[pool][question->yields];
}

void users_judge(struct world *world, struct question *question, uint32_t number, bool files)
{
	question->limited = !question->nested && world->grants[number].user >= 0;
	question->denied = !is_allowed(&world->grants[number], question, files);
	for (uint32_t i = 0; i < question_tasks(question); i++) {
		world->tokens[question->token + i].grant = number;
		world->tokens[question->token + i].denied = question->denied;
	}
}

bool users_may_lease(const struct client *client, const struct pool *pool)
{
	const struct span name = {.bytes = (const uint8_t *)pool->name, .size = strlen(pool->name)};
	struct error error;

	return rights_check(client->rights, RIGHT_CALL, name, (struct span){0}, &error) == 0 &&
	       lease_check_quota(client, &error) == 0;
}

bool users_may_attach(const struct client *client, const struct pool *pool)
{
	struct error error;

	return rights_allow(client->rights, RIGHT_DIRECT, pool->name) && direct_check_quota(client, &error) == 0;
}
