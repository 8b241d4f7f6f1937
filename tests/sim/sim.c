/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: drives the real core through random orders of events, on virtual time, with clients and workers that are played.
 *
 *   sim --seeds 1-4000        each seed is one world; a seed that fails is printed
 *   sim --seed 17 --verbose   plays one again, and prints what happens
 *
 * A world has two pools, five clients, and a flavour (world.h): users with rights and limits, allocations that fail, workers
 * that lie, values in descriptors, a daemon that is asked to stop, little memory, or that nothing at all goes wrong. Events are
 * calls of every kind, leases, cancels, clients that do not read or leave, workers that run, defer, yield, call other methods,
 * stop, crash or are killed, pools that are resized, paused and replaced, users whose rights change, and time that passes.
 *
 * What must hold (the file that looks at it):
 *   question.c  every request has exactly one answer, and its own: each argument is a token that is used once. `ran` in an error
 *               is true. A task that must run at most once did. A gathered array is whole and in order. A stream's credit is its
 *               window. An error is one that this world may give.
 *   fake.c      an instance has each sticky call once, serves nobody but who leased it, hears of the end of each session that it
 *               served, and reads from a descriptor what was written there.
 *   player.c    a client sees no byte of another's results; a notification is carried out though its sender goes.
 *   users.c     no call runs to which its client had no right when it came, nor one that such a call's method makes; each is told
 *               DENIED, and no other is. What counts for a user is what its clients have.
 *   liar.c      a worker that says what it must not is killed, and nobody else is hurt.
 *   audit_turns.c  of what waits in a pool, the priority that counts most is next, and none waits longer than it may.
 *   audit.c     the core's own books are right: counts, lists, bytes, what is in hand; all of it is 0 at the end.
 *   here        nobody waits for ever.
 * Nothing is left behind (with LeakSanitizer: not a byte).
 *
 * A seed plays the same world each time, where allocations fail: with the same build.
 */
#include "tests/sim/audit.h"
#include "tests/sim/fake.h"
#include "tests/sim/liar.h"
#include "tests/sim/player.h"
#include "tests/sim/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 1500, DRAIN_ROUNDS = 20000, THOROUGH = 16 };

/* What happens, and how often, out of 1000. */
static const struct {
	uint32_t share;
	void (*happen)(struct world *world);
} events[] = {
	{358, player_send},
	{22, player_attach},
	{430, fake_work},
	{60, player_read},
	{20, player_feed},
	{43, supervisor_pass_time},
	{2, supervisor_pause},
	{10, fake_kill_one},
	{15, player_cancel},
	{6, player_vanish},
	{6, supervisor_resize},
	{4, supervisor_replace_pool},
	{6, player_lease},
	{5, player_release},
	{3, player_end_input},
	{4, player_give_back},
	{2, liar_end},
	{1, supervisor_begin_drain},
	{2, supervisor_probe},
	{1, player_reload_users},
};

static void random_event(struct world *world)
{
	uint32_t i = 0, dice = world_dice(world, 1000);

	while (dice >= events[i].share)
		dice -= events[i++].share;
	events[i].happen(world);
}

/* Nothing new comes in: everything must be answered. */
static void drain(struct world *world)
{
	supervisor_calm_down(world);
	for (int i = 0; i < DRAIN_ROUNDS && player_waits(world); i++) {
		for (int k = 0; k < 20; k++) {
			fake_work(world);
			core_end_event(&world->core);
		}
		player_go_on_all(world);
		supervisor_pass_time(world);
		player_mind(world);
		core_end_event(&world->core);
		audit(world, i % THOROUGH == 0);
	}
	if (!player_waits(world))
		return;
	player_say_waiting(world);
	fake_say_all(world);
	world_fail(world, "somebody waits for ever");
}

/* Also what has no caller comes to its end. */
static void rest(struct world *world)
{
	if (!supervisor_settle(world)) {
		fake_say_all(world);
		world_fail(world, "calls without a caller do not end");
	}
	player_go_on_all(world);
	player_release_all(world);
	player_mind(world);
	core_end_event(&world->core);
	audit_quiet(world);
	fake_check_all(world);
}

static void play(uint64_t seed, bool verbose)
{
	struct world *world = supervisor_begin(seed, verbose);

	for (uint32_t i = 0; i < EVENTS; i++) {
		random_event(world);
		if (world_one_in(world, 3))
			continue; /* a turn of the loop may have several */
		player_mind(world);
		core_end_event(&world->core);
		audit(world, i % THOROUGH == 0);
	}
	drain(world);
	rest(world);
	player_end(world);
	supervisor_end(world);
}

int main(int argc, char **argv)
{
	unsigned long long from = 1, to = 1;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--verbose")) {
			verbose = true;
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			from = to = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seeds") != 0 || i + 1 >= argc || sscanf(argv[++i], "%llu-%llu", &from, &to) != 2) {
			fprintf(stderr, "usage: sim [--seed N | --seeds FROM-TO] [--verbose]\n");
			return 2;
		}
	}
	for (unsigned long long seed = from; seed <= to; seed++)
		play(seed, verbose);
	printf("%llu passed, 0 failed\n", to - from + 1);
	return 0;
}
