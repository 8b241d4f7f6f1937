/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/audit_turns.h"

#include "daemon/core/records/pool.h"

enum { LEVELS = CALL_PRIORITY_MAX - CALL_PRIORITY_MIN + 1 };

static struct seen_level look_at(const struct queue *queue, int priority)
{
	const struct level *level;

	TAILQ_FOREACH(level, &queue->levels, link)
		if (level->priority == priority)
			return (struct seen_level){
				.waits = !TAILQ_EMPTY(&level->parties), .had = level->had, .since = level->since};
	return (struct seen_level){0};
}

/* Did the level wait, have its turn, and does it wait again? One that was empty meanwhile may have `since` of its new beginning. */
static bool has_had(const struct seen_level *was, const struct seen_level *is)
{
	return was->waits && is->waits && is->had && was->since != is->since;
}

/* Has some level had a turn since the last audit? Of several turns in an event, one is counted. */
static bool had_turn(const struct seen *before, const struct seen *now)
{
	for (int i = 0; i < LEVELS; i++)
		if (has_had(&before->levels[i], &now->levels[i]))
			return true;
	return false;
}

/* In an event with one turn: the level that had it counted as much as any other that waited. */
static void audit_turn(const struct world *world, const struct seen *before, const struct seen *now)
{
	int64_t most = INT64_MIN, had = INT64_MIN;

	for (int i = 0; i < LEVELS; i++) {
		const struct seen_level *was = &before->levels[i], *is = &now->levels[i];
		const int64_t counts = i * QUEUE_AGING + (int64_t)(before->turns - was->since);
		if (has_had(was, is))
			had = counts;
		else if (was->waits && is->waits && was->since == is->since && counts > most)
			most = counts;
	}
	HOLDS(world, had == INT64_MIN || had >= most, "pool %s: a turn of what counts as %.1f, and %.1f waits", now->pool->name,
	      (double)had / QUEUE_AGING, (double)most / QUEUE_AGING);
}

/*
 * A level is passed by a higher one only while that counts more: QUEUE_AGING times for each priority between it and the
 * highest, and then once by each level that has waited longer.
 */
static uint32_t longest(int index)
{
	return (uint32_t)(QUEUE_AGING * (LEVELS - 1 - index) + LEVELS - 1);
}

static void audit_pool_turns(struct world *world, struct seen *before, const struct pool *pool)
{
	struct seen now = {.pool = pool, .turns = pool->turns};

	for (int i = 0; i < LEVELS; i++)
		now.levels[i] = look_at(&pool->queue, i + CALL_PRIORITY_MIN);
	const bool turn = before->pool == pool && before->turns < pool->turns && had_turn(before, &now);
	if (turn && now.turns == before->turns + 1)
		audit_turn(world, before, &now);
	for (int i = 0; i < LEVELS; i++) {
		const struct seen_level *was = &before->levels[i];
		struct seen_level *is = &now.levels[i];
		if (before->pool == pool && was->waits && is->waits && was->since == is->since)
			is->passed = was->passed + turn;
		HOLDS(world, is->passed <= longest(i), "pool %s: priority %d was passed over %u times", pool->name,
		      i + CALL_PRIORITY_MIN, is->passed);
	}
	*before = now;
}

void audit_turns(struct world *world)
{
	for (int i = 0; i < WORLD_POOLS; i++)
		if (world->pools[i])
			audit_pool_turns(world, &world->seen[i], world->pools[i]);
}
