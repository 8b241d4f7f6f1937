/* SPDX-License-Identifier: Apache-2.0 */
/* world: the core, the dice and the tokens of one seed, which all files of the simulation use. supervisor.c begins and ends a
 * world. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "daemon/core/records/pool.h"
#include "tests/sim/faults.h"

enum { WORLD_CLIENTS = 5, WORLD_POOLS = 2 };

struct grant;
struct player;
struct fake;
struct file;

/* Each argument is a token: a number that is used once. Here is what is known of it. */
struct token {
	uint16_t ran;  /* how often it has begun */
	uint16_t waits; /* how often it was put off when nothing had been done for it, and nothing has since */
	bool sticky;   /* it is a sticky call's */
	bool committed; /* its method has committed itself, in a worker that has not died since */
	bool denied;   /* its client has no right to it: it must not run */
	uint32_t grant; /* of its client when it came: see users.h */
	bool lied;     /* its worker lied: an error about it need not be true */
};

/* What may happen in this world. */
struct flavour {
	bool memory; /* allocations fail */
	bool liars;  /* workers lie */
	bool files;  /* large values go by descriptor */
	bool large;  /* methods yield much */
	bool calm;   /* no worker dies, and no pool is changed */
	bool drains; /* the daemon is asked to stop */
	bool bounded; /* max_memory is small */
	bool users;  /* clients are users, with rights and limits */
	bool urgent; /* most calls have one of a few priorities */
	bool cramped; /* workers have no memory at times, and refuse their tasks */
};

/* How long the levels of a pool's queue have waited: see audit_turns.h. */
struct seen {
	const struct pool *pool; /* NULL: nothing was seen yet */
	uint64_t turns;          /* of the pool */
	struct seen_level {
		bool waits;      /* it had flows with turns */
		bool had;        /* its `since` is of a turn */
		uint64_t since;
		uint32_t passed; /* at least so often another level had its turn since */
	} levels[CALL_PRIORITY_MAX - CALL_PRIORITY_MIN + 1];
};

/* A notification that was taken in: each token will have run so often. */
struct promise {
	uint32_t token, tokens, times;
};

struct world {
	struct core core;
	uint64_t seed, state;
	bool verbose;
	struct flavour flavour;
	struct pool *pools[WORLD_POOLS];        /* the pools that take calls; NULL: there was no memory for the pool */
	uint64_t in_hand[WORLD_POOLS]; /* of a pool that is paused: tasks in its instances, at the last audit; else UINT64_MAX */
	struct seen seen[WORLD_POOLS]; /* of their queues, at the last audit */
	struct fake *fakes;                     /* all workers that live */
	struct player *players[WORLD_CLIENTS];
	struct player *left;                    /* players that have left, and whose notifications have not ended */
	struct token *tokens;
	uint32_t token_count, token_room;
	struct grant *grants;                   /* all that there were: see users.h */
	uint32_t grant_count;
	struct file *files;                     /* all files that have been made: see value.h */
	int last_fd;
	struct promise *promises;
	uint32_t promise_count;
	struct probe *probe;                    /* NULL: none is under way */
	uint32_t stickies;                      /* sticky calls so far */
	void (*lie)(struct fake *fake);         /* liar_lie */
};

uint32_t world_dice(struct world *world, uint32_t sides);
static inline bool world_one_in(struct world *world, uint32_t sides)
{
	return world_dice(world, sides) == 0;
}
_Noreturn __attribute__((format(printf, 2, 3))) void world_fail(const struct world *world, const char *format, ...);
__attribute__((format(printf, 2, 3))) void world_say(const struct world *world, const char *format, ...);

/* Remembers a notification: in a calm world it must be carried out. */
void world_promise(struct world *world, struct promise promise);

const char *world_pool_name(unsigned pool);

/* The first of `count` new tokens. */
uint32_t world_tokens(struct world *world, uint32_t count);

/* A token whose method fails. */
static inline bool world_is_bad(uint32_t token)
{
	return token % 11 == 3;
}

#define HOLDS(world, condition, ...)                  \
	do {                                          \
		if (!(condition))                     \
			world_fail(world, __VA_ARGS__); \
	} while (0)

#endif
