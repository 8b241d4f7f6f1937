/* SPDX-License-Identifier: Apache-2.0 */
/*
 * behalf: of whom a session is that the gateway has opened: of a user of another host, of a program on the bus, or of a local client
 * that asks for a pool of all hosts, this one among them.
 *
 * Who comes from elsewhere sees only pools that are shared, and never administers the daemon. Which methods it may call there, its
 * [user HOST/NAME] says; without any [user] section, all of them.
 */
#ifndef SUPERVISOR_BEHALF_H
#define SUPERVISOR_BEHALF_H

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/users/users.h"
#include "proto/gateway_link.h"

enum { BEHALF_USER_MAX = 255, BEHALF_NAME = GATEWAY_NAME_MAX + 1 + BEHALF_USER_MAX + 1 };

struct behalf {
	char name[BEHALF_NAME]; /* HOST/USER */
	char host[GATEWAY_NAME_MAX + 1]; /* "": it is a local client's */
	uint64_t local;         /* the number of that client abroad (daemon/supervisor/cluster/abroad.h) */
};

/* Reads whom the gateway has named. `host` is without bytes: `local` is the number of a local client. NULL: out of memory. */
struct behalf *behalf_new(struct span host, struct span user, uint64_t local);

/* Is the pool shared with that host? */
bool behalf_is_shared_with(const struct pool *pool, struct span host);

/* The user of another host, and its rights, of which the caller gets a reference. `users` may be NULL. 0 or -ENOMEM. */
int behalf_find(const struct core *core, const struct users *users, const struct behalf *behalf, struct known *known,
		struct rights **rights);

#endif
