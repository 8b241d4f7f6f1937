/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/users.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/records/slot.h"
#include "tests/sim/player.h"
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

/* The last grant of that user. */
static struct grant *grant_of(const struct world *world, int user)
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
	return (uint32_t)(grant_of(world, user) - world->grants);
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

/* As session_identity_change does it. A client is seldom another user afterwards. */
void users_reload(struct world *world)
{
	if (!world->flavour.users)
		return;
	world_say(world, "users have other rights and limits");
	for (int user = 0; user < USERS; user++)
		set_limits(world, add_grant(world, user)->rights->quota);
	faults_arm(true);
	for (int i = 0; i < WORLD_CLIENTS; i++) {
		struct player *player = world->players[i];
		if (!player)
			continue;
		const int user = world->grants[*player_grant(player)].user;
		const struct grant *grant = grant_of(world, user);
		*player_grant(player) = world_one_in(world, 6) ? some_grant(world) : (uint32_t)(grant - world->grants);
		client_set_rights(player_client(player), world->grants[*player_grant(player)].rights);
		direct_settle_rights(player_client(player), "refused");
	}
	faults_arm(false);
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

/* ---- the books ---- */

/* What is found for a quota. */
struct found {
	uint32_t connections, inflight, lingering, leases, directs;
};

static void count_client(struct found *found, const struct quota *quota, const struct client *client)
{
	if (client->quota != quota)
		return;
	found->connections += !client->hung_up;
	found->inflight += client->inflight.count + client->notified;
	found->leases += client->lease_count;
}

static void count_slot(struct found *found, const struct quota *quota, const struct slot *slot)
{
	const struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		found->directs += direct->rights && direct->rights->quota == quota;
}

static void count_pool(struct found *found, const struct quota *quota, const struct pool *pool)
{
	const struct call *call;
	const struct slot *slot;

	TAILQ_FOREACH(call, &pool->calls, link)
		found->lingering += call->lingers && call->rights->quota == quota;
	SLOT_FOREACH(slot, pool)
		count_slot(found, quota, slot);
}

static void audit_quota(const struct world *world, const struct quota *quota, bool quiet)
{
	struct found found = {0};
	const struct client *client;
	const struct pool *pool;

	for (uint32_t i = 0; (client = player_next(world, &i));)
		count_client(&found, quota, client);
	TAILQ_FOREACH(pool, &world->core.pools, link)
		count_pool(&found, quota, pool);
	HOLDS(world, quota->connections == found.connections && quota->sessions == found.connections,
	      "user %s has %u sessions, and %u of %u are counted", quota->name, found.connections, quota->sessions,
	      quota->connections);
	HOLDS(world, quota->inflight == found.inflight, "user %s has %u calls in flight, and %u are counted", quota->name,
	      found.inflight, quota->inflight);
	HOLDS(world, quota->lingering == found.lingering, "user %s has %u calls that linger, and %u are counted", quota->name,
	      found.lingering, quota->lingering);
	HOLDS(world, quota->leases == found.leases, "user %s has %u leases, and %u are counted", quota->name, found.leases,
	      quota->leases);
	HOLDS(world, quota->directs == found.directs, "user %s has %u direct channels, and %u are counted", quota->name,
	      found.directs, quota->directs);
	HOLDS(world, !quiet || quota->inflight + quota->lingering + quota->leases == 0, "user %s has something when all is over",
	      quota->name);
}

void users_audit(const struct world *world, bool quiet)
{
	uint64_t denied = 0;

	for (int user = 0; user < USERS && world->flavour.users; user++) {
		const struct quota *quota = grant_of(world, user)->rights->quota;
		audit_quota(world, quota, quiet);
		denied += quota->denied;
	}
	HOLDS(world, denied == world->core.denied, "%llu requests were denied, and %llu are counted",
	      (unsigned long long)world->core.denied, (unsigned long long)denied);
}
