/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: drives the real core through random orders of events, on virtual time, with clients and workers that are played.
 *
 *   sim --seeds 1-4000        each seed is one world; a seed that fails is printed
 *   sim --seed 17 --verbose   plays one again, and prints what happens
 *
 * After each event, and at the end of each world: every request has exactly one answer, and its own (each argument is a
 * token that is used once); what must run at most once did; what was answered with ran = "no" did not run; a gathered
 * array is whole and in order; a stream's credit is its window; every instance has each sticky call once; nobody waits for ever; nothing is left behind (and under LeakSanitizer: not a byte).
 */
#include "tests/sim/player.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 1500, DRAIN_ROUNDS = 20000 };

static void random_event(struct world *world)
{
	switch (world_dice(world, 100)) {
	case 0 ... 39:
		player_send(world);
		break;
	case 40 ... 79:
		world_work(world);
		break;
	case 80 ... 85:
		player_read(world);
		break;
	case 86 ... 87:
		player_feed(world);
		break;
	case 88 ... 93:
		world_pass_time(world);
		break;
	case 94:
		world_kill_one(world);
		break;
	case 95 ... 96:
		player_cancel(world);
		break;
	case 97:
		player_vanish(world);
		break;
	case 98:
		world_resize(world);
		break;
	default:
		world_replace_pool(world);
	}
	core_end_event(&world->core);
}

/* Nothing new comes in: everything must be answered. */
static void drain(struct world *world)
{
	for (int i = 0; i < DRAIN_ROUNDS && player_waits(world); i++) {
		for (int k = 0; k < 20; k++)
			world_work(world);
		player_read_all(world);
		player_feed(world);
		world_pass_time(world);
		player_tidy(world);
	}
	if (player_waits(world))
		world_fail(world, "somebody waits for ever");
	world_check_sticky(world);
}

static void play(uint64_t seed, bool verbose)
{
	struct world *world = world_new(seed, verbose);

	for (int i = 0; i < EVENTS; i++) {
		random_event(world);
		player_tidy(world);
	}
	drain(world);
	player_end(world);
	world_end(world);
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
