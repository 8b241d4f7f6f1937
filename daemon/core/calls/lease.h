/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: one instance for one client alone, until it gives it back, its time is over, or it goes away. Nothing of others is
 * handed to a leased slot; what they address to it waits.
 *
 *   WAITING --a slot is idle--> ASKING --the class agrees--> HELD --release, disconnect--> gone
 *                                                              '---worker died, time over--> LOST --release--> gone
 *
 * A lost lease stays with its client, whose calls of that slot fail until it is released: they must not reach an instance
 * that they don't expect.
 */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "daemon/core/records/client.h"

struct slot;

enum lease_state { LEASE_WAITING, LEASE_ASKING, LEASE_HELD, LEASE_LOST };

struct lease {
	struct ending ending;
	TAILQ_ENTRY(lease) of_client; /* in client->leases */
	TAILQ_ENTRY(lease) of_pool;   /* in pool->leases; those that wait in their order */
	enum lease_state state;
	struct client *client;
	struct pool *pool;            /* NULL: it has gone */
	struct slot *slot;            /* ASKING, HELD */
	uint64_t session;
	int64_t wanted;               /* a slot; -1: any */
	uint32_t index;               /* HELD, LOST: the slot's number */
	struct ticket ticket;         /* of who waits for it */
	struct timer timer;           /* WAITING: patience; HELD: its time */
	uint64_t time;                /* nanoseconds that it lasts; 0: as long as its client */
	const char *reason;           /* LOST */
};

struct lease_options {
	int64_t slot;                 /* -1: any */
	uint64_t patience;            /* nanoseconds that the client will wait; 0: for ever */
	uint64_t time;                /* nanoseconds that the lease lasts; 0: for ever */
};

/* Can the pool's slot `wanted` (-1: any slot) be leased, now or when its instance is ready? 0, or -EHOSTDOWN with *error made: its
 * last start has failed. */
int lease_check_place(const struct pool *pool, int64_t wanted, struct error *error);

/* Asks for a lease. 0: the ticket is open, and answered {slot, generation} or with an error; -ENOMEM. */
int lease_begin(struct client *client, const struct rpc *rpc, struct pool *pool, const struct lease_options *options);

/* The client's lease in the pool: of the slot, or (-1) its only or oldest one. NULL: it has none. */
struct lease *lease_find(const struct client *client, const struct pool *pool, int64_t slot);

/* Releases the client's first lease of the pool that has not been granted yet, and fails its request. `slot`: only a lease for
 * this slot; -1: for any. False: there is none. */
bool lease_give_up(struct client *client, const struct pool *pool, int64_t slot);

/* Ends the lease: gives the slot back, or stops waiting for it. */
void lease_release(struct lease *lease);

/* The client's calls of that slot can't go on: 0, or -EINVAL with *error made. */
int lease_check(const struct client *client, const struct pool *pool, uint32_t slot, struct error *error);

/* The slot is idle: whoever waits may have it. */
void lease_serve(struct slot *slot);
void lease_serve_pool(struct pool *pool);

/* The class has said whether it agrees. */
void lease_on_answer(struct slot *slot, struct error *refusal);

/* The slot's worker has died; or the slot leaves. */
void lease_on_worker_gone(struct slot *slot);
void lease_on_slot_removed(struct slot *slot);

/* A slot's start has failed, or the pool has fewer slots: fails the leases that wait for this slot, or for any while no slot of the pool can be started. */
void lease_on_broken(struct pool *pool);

/* The pool has fewer slots: fails the leases that wait for a slot that it has no more. */
void lease_on_shrunk(struct pool *pool);

/* The pool goes. */
void lease_on_pool_gone(struct pool *pool);

/* The client has left (client_leave): releases its leases that its notifications don't need. */
void lease_on_client_left(struct client *client);

/* The daemon drains: fails the leases that wait, and releases those that no call of the holder's needs. Holders can't call any more,
 * and what waits behind a lease is to be finished. */
void lease_on_drain(struct pool *pool);

/* slot_step asks: releases the slot's lease if its holder has left or the daemon drains, and none of the holder's calls needs it any
 * more. */
void lease_consider(const struct slot *slot);

/* The client has gone. */
void lease_on_client_gone(struct client *client);

#endif
