/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chore: work of the daemon's own methods that waits for workers: looked at whenever a slot has changed, answered when it is
 * done.
 */
#ifndef SUPERVISOR_CHORE_H
#define SUPERVISOR_CHORE_H

#include "daemon/core/client.h"
#include "daemon/supervisor/daemon.h"

enum chore_kind {
	CHORE_SETTLE, /* waits until every slot is there, or has failed to be */
	CHORE_CREATE, /* likewise; the pool is removed when a slot fails, or when the client goes or cancels */
	CHORE_ROLL,   /* restarts slots, one after the other */
	CHORE_UNDO,   /* CREATE has failed, and the pool is on its way out */
	CHORE_DROP,   /* waits until the pool has gone */
};

struct chore {
	TAILQ_ENTRY(chore) link; /* in daemon->chores */
	enum chore_kind kind;
	struct ticket ticket;    /* of who waits; closed: nobody */
	struct daemon *daemon;
	struct pool *pool;
	bool only_one;           /* ROLL, likewise below */
	uint32_t slot, done;     /* the one that is being restarted; how many were */
	uint64_t generation;     /* which it will have */
	bool begun;
	bool abandoned;          /* CREATE: its client has gone, or has cancelled */
	char *fault;             /* UNDO: why */
};

/* NULL: out of memory. */
struct chore *chore_new(struct daemon *daemon, struct pool *pool, enum chore_kind kind);

/* The request's answer will be the chore's. */
void chore_answer_to(struct chore *chore, struct client *client, const struct rpc *rpc);

/* Restarts the slots of all pools, in each one after the other; nobody waits. */
void chore_restart_all(struct daemon *daemon);

/* Slots have changed: goes on with the chores. */
void chores_run(struct daemon *daemon);

/* The pool goes: its chores end. */
void chores_on_pool_gone(struct daemon *daemon, struct pool *pool);

#endif
