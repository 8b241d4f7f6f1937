/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway_sim/world.h"

#include <stdarg.h>
#include <stdlib.h>

uint32_t world_dice(struct world *world, uint32_t sides)
{
	world->state = world->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(world->state >> 33) % sides;
}

void world_fail(const struct world *world, const char *format, ...)
{
	va_list list;

	printf("seed %llu at %.6f: ", (unsigned long long)world->seed, (double)world->now / (double)SECOND);
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
	printf("%12.6f ", (double)world->now / (double)SECOND);
	vprintf(format, list);
	putchar('\n');
	va_end(list);
}

uint32_t world_tokens(struct world *world, uint32_t count)
{
	const uint32_t first = world->token_count;

	world->token_count += count;
	while (world->token_count > world->token_room) {
		const uint32_t room = world->token_room ? 2 * world->token_room : 1024;
		world->tokens = realloc(world->tokens, room * sizeof *world->tokens);
		memset(world->tokens + world->token_room, 0, (room - world->token_room) * sizeof *world->tokens);
		world->token_room = room;
	}
	return first;
}

uint8_t *world_flat(const struct sendq *queue, size_t *size)
{
	uint8_t *flat = malloc(queue->bytes + 1);

	*size = 0;
	for (const struct sendq_segment *s = queue->head; s; s = s->next) {
		memcpy(flat + *size, s->bytes + s->off, s->len - s->off);
		*size += s->len - s->off;
	}
	return flat;
}
