/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin: functions that all methods of the daemon itself use. service.c has the table of these methods. The methods are in
 * service.c (the connection, the daemon) and service_*.c.
 */
#ifndef SUPERVISOR_ADMIN_H
#define SUPERVISOR_ADMIN_H

#include "daemon/supervisor/connections/session.h"

#include <msgpack.h>

/* A request to the daemon itself, while its method runs. */
struct request {
	struct session *session;
	struct daemon *daemon;
	struct rpc *rpc;
	struct reader args; /* the arguments */
	uint32_t count;     /* of the arguments */
	struct error error; /* made when the method returns -1 */
	bool steers;        /* the method changes something for others: the log is told. The method may take it back */
	bool over;          /* likewise: the connection is closed then */
	bool streams;       /* results are wanted one by one */
	uint64_t timeout;   /* of a stream: the nanoseconds that it may take; 0: any time */
	msgpack_packer *result; /* has one value when the method returns 0 */
};

/* 0: the result is written; -1: the error is made; 1: the request is answered later. */
typedef int admin_fn(struct request *request);

/* Makes the BAD_ARGUMENT "objpool.x takes ...". Returns -1. */
int admin_refuse_params(struct request *request, const char *what);

/* Reads the next argument as the name of a pool for which the client must have the right. NULL: the error is made. */
struct pool *admin_pool(struct request *request, enum right right);

/* Takes the name of this host off the end of "pool@host". */
void admin_take_own_host(const struct request *request, struct span *name);

/* Checks that the client has the right to the pool, whether or not there is one. 0, or -1 with the error made. An empty name: to
 * any pool. */
int admin_check(struct request *request, enum right right, struct span name);

/* The same for what the daemon tells of its state: who may describe or watch may see it. */
int admin_check_sight(struct request *request, struct span name);

/* Makes the error that the daemon is out of memory. Returns -1. */
int admin_no_memory(struct request *request);

/* Does the policy (enum config_admin) allow the session this? */
bool admin_is_allowed(const struct session *session, uint32_t policy);

/* The core's ops->may_stick: may the client make sticky calls of the pool (NULL: one of other hosts)? It must have the right of objpool.forget, or have
 * made the pool. */
bool admin_may_stick(const struct client *client, const struct pool *pool);

admin_fn admin_pools, admin_status, admin_describe, admin_scale, admin_restart, admin_forget, admin_create, admin_drop;
admin_fn admin_pause, admin_resume;
admin_fn admin_lease, admin_release;
admin_fn admin_attach, admin_detached;
admin_fn admin_whoami, admin_acl;
admin_fn admin_clients, admin_kick;
admin_fn admin_hosts;
admin_fn admin_log_level, admin_config, admin_drain, admin_logs, admin_events;
admin_fn admin_cancel_direct; /* objpool.cancel [channel, number] */

#endif
