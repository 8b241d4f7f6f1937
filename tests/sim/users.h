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

/* Does nothing but in worlds with users. */
void users_begin(struct world *world);
void users_end(struct world *world);
void users_reload(struct world *world); /* an event: other rights and limits, for all clients */

/* What a new client may do: the number of its grant, whose rights it gets. */
uint32_t users_enter(struct world *world, struct client *client);

/* May the client have a lease of the pool, or a direct channel, as the daemon decides that? */
bool users_may_lease(const struct client *client, const struct pool *pool);
bool users_may_attach(const struct client *client, const struct pool *pool);

/* The question is asked under that grant: finds whether it is to be denied, and notes that with its tokens. `files`: descriptors go
 * with it. */
void users_judge(struct world *world, struct question *question, uint32_t grant, bool files);

/* The books of all quotas; `quiet`: nothing may be left. */
void users_audit(const struct world *world, bool quiet);

#endif
