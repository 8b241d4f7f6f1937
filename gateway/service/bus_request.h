/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_request: a request of a program on the bus, which becomes objpool.call of the own daemon. No other method of the daemon can
 * be reached.
 *
 *   subject          objpool.DOMAIN.call.POOL.METHOD, or ….call.POOL@HOST.METHOD; a method's name may have dots
 *   body             an array of arguments; or one value, the only argument; or nothing
 *   Content-Type     the body's form, and the answer's: body.h
 *   Objpool-Selector which of the host's instances: what stands behind the colon of a target: 2, all, key=K, map
 *   Objpool-Options  a JSON object, the options of objpool.call: {"timeout_ms": 500, "kwargs": {…}}
 */
#ifndef GATEWAY_BUS_REQUEST_H
#define GATEWAY_BUS_REQUEST_H

#include "gateway/service/body.h"
#include "proto/sendq.h"

#define BUS_REQUEST_SELECTOR "Objpool-Selector"
#define BUS_REQUEST_OPTIONS  "Objpool-Options"

struct bus_request {
	struct span pool, method; /* in the subject */
	const char *selector;     /* NULL: any instance */
	enum body_form form;
	struct span args;    /* one value; size 0: there are no arguments */
	bool alone;          /* `args` is the only argument, not an array of them */
	struct span options; /* a map; size 0: none */
	struct block *body_block, *options_block;
};

/* Sets pool, method and host (size 0: none) from what follows "objpool.DOMAIN.call." in a subject. 0, or -1: it is none. */
int bus_request_subject(struct span rest, struct bus_request *request, struct span *host);

/* Reads the rest. The headers may be NULL. 0; or -1 with *error made, and `form` is right all the same. bus_request_close in both
 * cases. */
int bus_request_read(struct bus_request *request, struct span body, const char *type, const char *selector, const char *options,
		     struct account *account, struct error *error);

/* So many bytes will be written, at most. */
size_t bus_request_size(const struct bus_request *request);

/* Writes it as a request of that number, to be carried out on this host, which is the own one. */
void bus_request_put(const struct bus_request *request, const char *host, uint32_t number, struct sendq *to);

void bus_request_close(struct bus_request *request);

#endif
