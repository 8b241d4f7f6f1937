/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin: what the daemon's own methods have in common. service.c has the table; they are in service.c (the connection, the
 * daemon), service_pools.c and service_lease.c.
 */
#ifndef SUPERVISOR_ADMIN_H
#define SUPERVISOR_ADMIN_H

#include "daemon/supervisor/connections/session.h"

#include <msgpack.h>

/* One request on its way through a method. */
struct request {
	struct session *session;
	struct daemon *daemon;
	struct rpc *rpc;
	struct reader args; /* the arguments */
	uint32_t count;     /* how many */
	struct error error; /* when the method returns -1 */
	msgpack_packer *result; /* when it returns 0, one value has been written */
};

/* 0: result written; -1: error made; 1: it is answered later. */
typedef int admin_fn(struct request *request);

/* Makes the BAD_ARGUMENT "objpool.x takes ...". Returns -1. */
int admin_refuse_params(struct request *request, const char *what);

/* The next argument as the name of a pool. NULL: error made. */
struct pool *admin_pool(struct request *request);

/* The daemon is out of memory. Returns -1. */
int admin_no_memory(struct request *request);

/* May the session do what the policy (enum config_admin) lets? */
bool admin_is_allowed(const struct session *session, uint32_t policy);

/* core_ops: may the client make sticky calls of the pool? It needs the right of objpool.forget, or must have made the pool
 * itself. */
bool admin_may_stick(const struct client *client, const struct pool *pool);

admin_fn admin_pools, admin_status, admin_describe, admin_scale, admin_restart, admin_forget, admin_create, admin_drop;
admin_fn admin_lease, admin_release;

#endif
