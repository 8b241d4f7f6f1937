/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services: each pool that this host shares is a NATS service (ADR-32), so that any program on the bus can call it, and NATS' own
 * tools see it. bus_request.h has the form of requests, answer.h that of answers, discovery.h what is told of services.
 *
 *   program --objpool.DOMAIN.call.POOL.METHOD--> services --objpool.call--> own daemon, as user bus/-
 *           <-----------its inbox---------------          <----response----
 *
 * All hosts that offer a pool are one queue group: one of them gets the request. A host whose instances are not ready leaves the
 * group while another host has ready ones. ….call.POOL@HOST.METHOD is for one host.
 *
 * What programs can make the gateway hold is bounded: SERVICES_CALLS, SERVICES_BYTES. Beyond that they get OVERLOADED. When more
 * than SERVICES_REFUSALS are refused in a second, the gateway takes no requests for a second: what other hosts send it comes on
 * the same connection, behind them.
 */
#ifndef GATEWAY_SERVICES_H
#define GATEWAY_SERVICES_H

#include "gateway/bus/bus.h"
#include "gateway/core/base.h"

enum {
	SERVICES_CALLS = 4096,     /* in progress */
	SERVICES_BYTES = 32 << 20, /* of their requests */
	SERVICES_REFUSALS = 5000,  /* one of 4 KiB counts twice, and so on */
	SERVICES_UNSENT = 8 << 20, /* bytes that wait for the bus: then the daemon's answers wait, too */
};

struct services;

/* NULL: out of memory. */
struct services *services_new(struct gateway *gateway, const struct bus_engine *engine);

/* Accepts NULL; returns NULL. gateway->ending must be true. */
struct services *services_free(struct services *services);

/* A bus has been opened; its subscriptions have the services as their context. Or NULL: it is about to be closed. */
void services_set_bus(struct services *services, struct bus *bus, const char *domain);

/* After gateway_on_supervisor. */
void services_on_supervisor(struct services *services, struct span message);

/* A message on one of the services' subscriptions. */
void services_on_message(struct services *services, const struct bus_message *message);

/* A turn is over. */
void services_end_turn(struct services *services);

#endif
