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

/* Asks for a lease. 0: the ticket is open, and answered {slot, generation} or with an error; -ENOMEM. */
int lease_begin(struct client *client, const struct rpc *rpc, struct pool *pool, const struct lease_options *options);

/* The lease of the pool that the client holds or has lost: the lease of that slot, or (-1) its oldest lease. NULL: it has
 * none. */
struct lease *lease_find(const struct client *client, const struct pool *pool, int64_t slot);

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

/* The slot's worker has died: its lease is lost. lease_on_slot_removed: so it is when the slot leaves. */
void lease_on_worker_gone(struct slot *slot);
void lease_on_slot_removed(struct slot *slot);

/* A slot's start has failed, or the pool has fewer slots: fails each lease that waits for a slot whose last start has failed. If
 * no slot of the pool can be started, also fails the leases that wait for any slot. */
void lease_on_broken(struct pool *pool);

/* The pool has fewer slots: fails the leases that wait for a removed slot. */
void lease_on_shrunk(struct pool *pool);

/* The pool goes: its leases are lost, and requests for leases fail. */
void lease_on_pool_gone(struct pool *pool);

/* The client has left (client_leave): releases the leases that its notifications don't need. */
void lease_on_client_left(struct client *client);

/* The daemon drains: fails the leases that wait, and releases the held leases that no call of their holder needs. Holders
 * can't call any more, and tasks that wait behind a lease are to be finished. */
void lease_on_drain(struct pool *pool);

/* A step of slot_step: releases the slot's lease if its holder has left or the daemon drains, and no call of the holder needs
 * the lease any more. */
void lease_release_if_unneeded(const struct slot *slot);

/* The client has gone: ends all its leases. */
void lease_on_client_gone(struct client *client);

#endif
