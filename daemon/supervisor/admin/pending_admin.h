/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_admin: a request to the daemon itself that waits for workers. pending_admin_run looks at it when a slot has changed,
 * and answers the request when all is done.
 */
#ifndef SUPERVISOR_PENDING_ADMIN_H
#define SUPERVISOR_PENDING_ADMIN_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/base/daemon.h"

enum pending_admin_kind {
	PENDING_SETTLE, /* waits until the start of every slot has succeeded or failed */
	PENDING_CREATE, /* the same; removes the pool when a start fails, or when the client goes or cancels */
	PENDING_ROLL,   /* restarts slots, one after the other */
	PENDING_UNDO,   /* CREATE has failed: waits until the pool has gone */
	PENDING_DROP,   /* waits until the pool has gone */
	PENDING_PAUSE,  /* waits until nothing runs in the pool, which is paused */
};

struct pending_admin {
	TAILQ_ENTRY(pending_admin) link; /* in daemon->pending_admin */
	enum pending_admin_kind kind;
	struct ticket ticket;    /* of the request; closed: nobody waits */
	struct daemon *daemon;
	struct pool *pool;
	bool only_one;           /* ROLL: only this slot is restarted */
	uint32_t slot, done;     /* ROLL: the slot that is being restarted; how many were */
	uint64_t generation;     /* ROLL: the generation that the slot will have */
	bool begun;
	bool abandoned;          /* CREATE: its client has gone, or has cancelled */
	char *reason;             /* UNDO: why */
};

/* NULL: out of memory. */
struct pending_admin *pending_admin_new(struct daemon *daemon, struct pool *pool, enum pending_admin_kind kind);

/* Answers the request when the pending work is done. */
void pending_admin_answer_to(struct pending_admin *pending, struct client *client, const struct rpc *rpc);

/* Restarts the slots of all pools, one after the other in each pool. Nobody waits for this. */
void pending_admin_restart_all(struct daemon *daemon);

/* Slots have changed: goes on with all pending requests. */
void pending_admin_run(struct daemon *daemon);

/* The pool has gone: answers and ends the pending requests that concern it. */
void pending_admin_on_pool_gone(struct daemon *daemon, struct pool *pool);

#endif
