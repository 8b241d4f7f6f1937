/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users: the users of a world, what they may do, and their limits. What a user may is kept beside the core's rules, as a table: a
 * grant. Each reload makes new grants. A call is judged by the grant that its client had when it came, and so are the calls that its
 * method makes.
 */
#ifndef SIM_USERS_H
#define SIM_USERS_H

#include "tests/sim/world.h"

enum { USERS = 2, USERS_METHODS = 2 /* echo, gen */ };

struct client;
struct question;

struct grant {
	int user;              /* -1: it is of clients that are no user's, and may do everything */
	struct rights *rights; /* NULL: everything */
	bool call[WORLD_POOLS][USERS_METHODS], all[WORLD_POOLS][USERS_METHODS];
};

void users_begin(struct world *world); /* grant 0 is of clients that are no user's */
void users_end(struct world *world);

/* The last grant of that user. */
struct grant *users_grant(const struct world *world, int user);

/* A reload: makes new grants and sets other limits. users_next: the grant of a client that had this one; it is seldom another user
 * afterwards. */
void users_renew(struct world *world);
uint32_t users_next(struct world *world, uint32_t number);

/* What a new client may do: the number of its grant, whose rights it gets. */
uint32_t users_enter(struct world *world, struct client *client);

/* May the client have a lease of the pool, or a direct channel, as the daemon decides that? */
bool users_may_lease(const struct client *client, const struct pool *pool);
bool users_may_attach(const struct client *client, const struct pool *pool);

/* The question is asked under that grant: finds whether it is to be denied, and notes that with its tokens. `files`: descriptors go
 * with it. */
void users_judge(struct world *world, struct question *question, uint32_t grant, bool files);

#endif
