/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route: which host a call goes to.
 *
 *   sim@h3   that host                                  sim@*   any of the domain that shares the pool
 *   sim      of [remote sim]: any of its `hosts`, and this host, if it shares the pool
 *
 * Any: of two, by chance, the one with less to do for each ready instance. With `prefer = local` another host, as the own
 * daemon keeps what it has room for. A key: the host whose name and the key have the highest hash, so that every host finds the
 * same, and few keys move when a host comes or goes. Hosts without an instance that is ready are asked only if no other has one.
 */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "gateway/core/ask.h"
#include "gateway/core/hosts.h"
#include "gateway/core/session.h"

/* Does the target stand for several hosts? */
bool route_is_of_hosts(const struct ask *ask);

/* The host for a call on one host; `passed_over` (NULL: none) is left out, if there is another that is ready, or it is not
 * ready itself. NULL: there is none, and *error says why. */
struct host *route_one(struct gateway *gateway, const struct ask *ask, const struct host *passed_over, struct error *error);

/* Hosts that are left out. */
struct route_out {
	const struct host *hosts[SESSION_DENIALS];
	uint32_t count;
};

/* Any host but these for a call on one of several. NULL: there is none. */
struct host *route_other(struct gateway *gateway, const struct ask *ask, const struct route_out *out);

/* A call of any instance has been answered by the host, after so many nanoseconds. */
void route_learn(struct host *host, uint64_t took);

/* May the host be asked for instances of the pool, of those that the target stands for? */
bool route_has(const struct gateway *gateway, const struct ask *ask, const struct host *host);

/* Has the host an instance that is ready? */
bool route_is_ready(const struct host *host, const struct ask *ask);

/* There is no host: makes the error that says why. */
void route_say_none(const struct gateway *gateway, const struct ask *ask, struct error *error);

#endif
