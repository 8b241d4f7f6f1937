/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery: what programs on the bus ask about services, as all NATS services answer it (ADR-32: https://github.com/nats-io/
 * nats-architecture-and-design): $SRV.PING, $SRV.INFO, $SRV.STATS; $SRV.INFO.POOL for the pool on all hosts, and
 * $SRV.INFO.POOL.ID for that of one. Each shared pool of each host answers for itself.
 */
#ifndef GATEWAY_DISCOVERY_H
#define GATEWAY_DISCOVERY_H

#include "gateway/service/answer.h"
#include "gateway/service/offer.h"

struct discovery {
	const struct gateway *gateway; /* whose host offers */
	const char *domain;
	const struct offer_list *offers;
	struct outlet *outlet;
};

/* A request on "$SRV." and `rest`, of a program that awaits answers on `reply`. */
void discovery_answer(const struct discovery *discovery, struct span rest, const char *reply);

#endif
