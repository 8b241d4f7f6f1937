/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: one instance for one client alone, until the client releases it, the lease's time is over, or the client goes away. A
 * leased slot is handed no tasks of other clients. Tasks that they address to the slot wait.
 *
 *   WAITING --a slot is idle--> ASKING --the class agrees--> HELD --release, disconnect--> gone
 *                                                              '---worker died, time over--> LOST --release--> gone
 *
 * A lost lease stays with its client until the client releases it. Until then the client's calls of that slot fail: they must not
 * reach an instance that the client doesn't know.
 */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "daemon/core/records/client.h"

struct slot;

enum lease_state { LEASE_WAITING, LEASE_ASKING, LEASE_HELD, LEASE_LOST };

struct lease {
	struct ending ending;
	TAILQ_ENTRY(lease) of_client; /* in client->leases */
	TAILQ_ENTRY(lease) of_pool;   /* in pool->leases; leases that wait are in the order of their requests */
	enum lease_state state;
	struct client *client;
	struct pool *pool;            /* NULL: the pool has gone */
	struct slot *slot;            /* ASKING, HELD */
	struct slot *clearing;        /* WAITING: the direct channels of this slot are closed for it; NULL: no slot's */
	uint64_t session;
	int64_t wanted;               /* a slot; -1: any */
	uint32_t index;               /* HELD, LOST: the slot's number */
	struct ticket ticket;         /* of the request for it */
	struct timer timer;           /* WAITING: the client's patience ends; HELD: the lease's time ends */
	uint64_t time;                /* nanoseconds that it lasts; 0: until its client goes */
	const char *reason;           /* LOST: why */
};

struct lease_options {
	int64_t slot;                 /* -1: any */
	uint64_t patience;            /* nanoseconds that the client will wait; 0: for ever */
	uint64_t time;                /* nanoseconds that the lease lasts; 0: for ever */
};

/* Can the pool's slot `wanted` (-1: any slot) be leased, now or when its instance is ready? 0, or -EHOSTDOWN with *error made:
 * its last start has failed. */
int lease_check_place(const struct pool *pool, int64_t wanted, struct error *error);

/* May the client's user have one lease more? 0, or -EBUSY with *error made. */
int lease_check_quota(const struct client *client, struct error *error);

/* Asks for a lease. 0: the ticket is open, and answered {slot, generation} or with an error; -ENOMEM. */
int lease_begin(struct client *client, const struct rpc *rpc, struct pool *pool, const struct lease_options *options);

/* The lease of the pool that the client holds or has lost: the lease of that slot, or (-1) its oldest lease. NULL: it has
 * none. */
struct lease *lease_find(const struct client *client, const struct pool *pool, int64_t slot);

/* Does the gateway hold the lease of that slot (-1: of any slot) for the client, which has asked for an instance of any host? Its
 * calls there are the gateway's then. */
bool lease_is_with_gateway(const struct client *client, const struct pool *pool, int64_t slot);

/* Ends the client's oldest lease of the pool that has not been granted yet, and fails its request. `slot`: only a lease for
 * this slot; -1: a lease for any slot. False: there is no such lease. */
bool lease_give_up(struct client *client, const struct pool *pool, int64_t slot);

/* Ends the lease: gives the slot back, or stops waiting for it. */
void lease_release(struct lease *lease);

/* Checks that the client has not lost a lease of that slot: its calls of the slot fail then. 0, or -EINVAL with *error made. */
int lease_check(const struct client *client, const struct pool *pool, uint32_t slot, struct error *error);

/* Gives the slot, if it is idle, to the oldest lease that waits for it. lease_serve_pool does so for each slot of the pool. */
void lease_serve(struct slot *slot);
void lease_serve_pool(struct pool *pool);

/* The instance has answered whether it agrees to be leased. `refusal` is NULL if it does. */
void lease_on_answer(struct slot *slot, struct error *refusal);

/* For a lease that can't be had, or held, any more (lease_end.h). lease_fail answers the request for it with the error. lease_lose
 * takes the slot from a held lease, which is lost; lease_fail_calls then fails the holder's calls of the slot that no worker has
 * begun: they must not run on another instance, nor here once the lease is over. */
void lease_fail(struct lease *lease, struct error *error);
void lease_lose(struct lease *lease, const char *reason);
void lease_fail_calls(const struct lease *lease);

/* Takes the slot from its lease. A held lease is lost, and is returned. A lease that was not granted yet waits for another
 * slot; NULL. */
struct lease *lease_lose_slot(struct slot *slot, const char *reason);

#endif
