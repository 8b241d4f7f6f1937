/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_end: what ends leases, beside their holders, or leaves those that wait without hope: a client that goes, a worker that
 * dies, a slot or a pool that is removed, starts that fail, a drain.
 */
#ifndef CORE_LEASE_END_H
#define CORE_LEASE_END_H

#include "daemon/core/calls/lease.h"

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
