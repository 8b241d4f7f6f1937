/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offer: a shared pool of this host, as it is offered to programs on the bus: a service, with an endpoint for each method. Until
 * the daemon has described the pool, or where users on the bus may not see its description, there is one endpoint "call" for all.
 */
#ifndef GATEWAY_OFFER_H
#define GATEWAY_OFFER_H

#include "gateway/core/base.h"

enum { OFFER_ERROR = 160, OFFER_STARTED = 32 };

struct endpoint {
	char *name;                 /* of the method; NULL: of any */
	struct span signature, doc; /* in the description */
	uint64_t requests, errors;
	uint64_t nanoseconds; /* in which its calls were carried out, in all */
	char last_error[OFFER_ERROR];
};

struct offer {
	TAILQ_ENTRY(offer) entry;
	char *name, *class;
	char started[OFFER_STARTED]; /* "2026-11-29T16:20:00Z" */
	uint32_t slots;
	struct block *description; /* objpool.describe's answer; NULL: none has come */
	struct span version, doc;  /* in it; size 0: none */
	struct endpoint *endpoints;
	uint32_t endpoint_count; /* never 0 */
	uint64_t describe_at;    /* when the daemon is asked again */
	bool asked;              /* it has been, and has not answered */
	bool listed;             /* the daemon has named it just now */
	bool in_group;           /* subscribed to what any host may take */
	uint64_t unready_since;  /* no instance is ready; 0: one is */
};

TAILQ_HEAD(offer_list, offer);

/* NULL: out of memory. */
struct offer *offer_new(const char *name, const char *class);
struct offer *offer_free(struct offer *offer); /* accepts NULL; returns NULL */

/* NULL: there is none of that pool. */
struct offer *offers_find(const struct offer_list *offers, struct span name);

/* Takes a description; what was counted stays. 0, or -ENOMEM or -EINVAL: the offer is as before. */
int offer_describe(struct offer *offer, struct account *account, struct span description);

/* NULL: there is no such method. */
struct endpoint *offer_endpoint(struct offer *offer, struct span method);

/* A call has ended. `error`: how it failed; NULL: it did not. */
void endpoint_count(struct endpoint *endpoint, uint64_t nanoseconds, const char *error);

#endif
