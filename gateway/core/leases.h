/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leases: what hosts have leased to one client of the own daemon, and it has not given back: objpool.release need not name the
 * host. One that is over is given back, too, as at one host: until then calls to its slot fail there.
 */
#ifndef GATEWAY_LEASES_H
#define GATEWAY_LEASES_H

#include "proto/gateway_link.h"
#include "proto/read.h"

enum { LEASES_MAX = 4096 };
#define LEASE_ANY_SLOT (-1)

struct remote_lease {
	char *pool;
	char host[GATEWAY_NAME_MAX + 1];
	int64_t slot;   /* LEASE_ANY_SLOT: not known */
	uint64_t until; /* UINT64_MAX: it has no end */
	bool of_any;    /* any host was asked for it */
};

struct leases {
	struct remote_lease *list; /* the oldest first */
	uint32_t count, room;
};

/* Remembers one; `lease` without its pool. Out of memory: it is not remembered. */
void leases_add(struct leases *leases, struct span pool, struct remote_lease lease);

/* Takes out the one that is to be given back: of the host `of` the oldest, or (size 0) the last one that any host was asked for.
 * False: there is none. Its pool is freed. */
bool leases_take(struct leases *leases, struct span pool, struct span of, int64_t slot, struct remote_lease *taken);

/* The host has ended what the client had there. */
void leases_lose(struct leases *leases, const char *host);

/* Is there one that is not over? */
bool leases_hold(const struct leases *leases, uint64_t now);

void leases_free(struct leases *leases);

#endif
