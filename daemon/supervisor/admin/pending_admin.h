/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_admin: a method of the daemon's own that waits for workers. pending_admin_run looks at it whenever a slot has
 * changed, and answers it when it is done.
 */
#ifndef SUPERVISOR_PENDING_ADMIN_H
#define SUPERVISOR_PENDING_ADMIN_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/base/daemon.h"

enum pending_admin_kind {
	PENDING_SETTLE, /* waits until every slot is there, or has failed to be */
	PENDING_CREATE, /* likewise; the pool is removed when a slot fails, or when the client goes or cancels */
	PENDING_ROLL,   /* restarts slots, one after the other */
	PENDING_UNDO,   /* CREATE has failed, and the pool is on its way out */
	PENDING_DROP,   /* waits until the pool has gone */
};

struct pending_admin {
	TAILQ_ENTRY(pending_admin) link; /* in daemon->pending_admin */
	enum pending_admin_kind kind;
	struct ticket ticket;    /* of who waits; closed: nobody */
	struct daemon *daemon;
	struct pool *pool;
	bool only_one;           /* ROLL, likewise below */
	uint32_t slot, done;     /* the one that is being restarted; how many were */
	uint64_t generation;     /* which it will have */
	bool begun;
	bool abandoned;          /* CREATE: its client has gone, or has cancelled */
	char *reason;             /* UNDO: why */
};

/* NULL: out of memory. */
struct pending_admin *pending_admin_new(struct daemon *daemon, struct pool *pool, enum pending_admin_kind kind);

/* The request is answered when it is done. */
void pending_admin_answer_to(struct pending_admin *pending, struct client *client, const struct rpc *rpc);

/* Restarts the slots of all pools, in each one after the other; nobody waits. */
void pending_admin_restart_all(struct daemon *daemon);

/* Slots have changed: goes on with all that are pending. */
void pending_admin_run(struct daemon *daemon);

/* The pool has gone: what is pending of it is answered, and ends. */
void pending_admin_on_pool_gone(struct daemon *daemon, struct pool *pool);

#endif
