/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t world_dice(struct world *world, uint32_t sides)
{
	world->state = world->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(world->state >> 33) % sides;
}

void world_fail(const struct world *world, const char *format, ...)
{
	va_list list;

	printf("seed %llu: ", (unsigned long long)world->seed);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n0 passed, 1 failed\n");
	fflush(stdout);
	abort();
}

void world_say(const struct world *world, const char *format, ...)
{
	va_list list;

	if (!world->verbose)
		return;
	va_start(list, format);
	printf("%12.6f ", (double)world->core.now / (double)SECOND);
	vprintf(format, list);
	putchar('\n');
	va_end(list);
}

const char *world_pool_name(unsigned pool)
{
	static const char *const names[WORLD_POOLS] = {"p", "q"};
	return names[pool];
}

uint32_t world_tokens(struct world *world, uint32_t count)
{
	const uint32_t first = world->token_count;

	world->token_count += count + 1; /* also a question of no items has a token of its own */
	while (world->token_count > world->token_room) {
		const uint32_t room = world->token_room ? 2 * world->token_room : 1024;
		world->tokens = realloc(world->tokens, room * sizeof *world->tokens);
		memset(world->tokens + world->token_room, 0, (room - world->token_room) * sizeof *world->tokens);
		world->token_room = room;
	}
	return first;
}

void world_promise(struct world *world, struct promise promise)
{
	if (!world->flavour.calm)
		return;
	if (world->promise_count % 16 == 0)
		world->promises = realloc(world->promises, (world->promise_count + 16) * sizeof *world->promises);
	world->promises[world->promise_count++] = promise;
}
