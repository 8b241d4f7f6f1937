/* SPDX-License-Identifier: Apache-2.0 */
/* world: the core, the clock, and the workers of one seed. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "daemon/core/pool.h"

enum { WORLD_CLIENTS = 5, WORLD_TOKENS = 1 << 18 };

struct player;
struct fake;

struct world {
	struct core core;
	uint64_t seed, state;
	bool verbose;
	struct pool *pool;              /* the one that takes calls */
	struct fake *fakes;             /* all workers that live */
	struct player *players[WORLD_CLIENTS];
	struct player *left; /* whose notifications are still carried out */
	uint32_t tokens;                /* given out */
	uint8_t ran[WORLD_TOKENS];      /* how often each was run */
	bool sticky[WORLD_TOKENS];      /* it is a sticky call's */
};

struct world *world_new(uint64_t seed, bool verbose);

/* All players have gone: ends the pools, and checks that nothing is left. */
void world_end(struct world *world);

uint32_t world_dice(struct world *world, uint32_t sides);
_Noreturn void world_fail(struct world *world, const char *what);
__attribute__((format(printf, 2, 3))) void world_say(const struct world *world, const char *format, ...);

void world_work(struct world *world);      /* some worker does something */
void world_pass_time(struct world *world);
void world_kill_one(struct world *world);
void world_resize(struct world *world);
void world_replace_pool(struct world *world);

/* Every idle instance has been told every sticky call that is remembered, once. */
void world_check_sticky(struct world *world);

/* A token whose method fails. */
static inline bool world_is_bad(uint32_t token)
{
	return token % 11 == 3;
}

#endif
