/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: the daemon's own methods, `objpool.x`. Most are answered at once; those that wait for workers (scale, restart) are
 * chores: looked at whenever a slot has changed.
 */
#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include "daemon/supervisor/session.h"

struct chore {
	TAILQ_ENTRY(chore) link; /* in daemon->chores */
	struct ticket ticket;    /* of who waits; closed: nobody */
	struct daemon *daemon;
	struct pool *pool;
	bool rolling;            /* restarts slots, one after the other; else it waits for all to be settled */
	bool only_one;
	uint32_t slot, done;     /* rolling: the one that is being restarted */
	uint64_t generation;     /* which it will have */
	bool begun;
};

/* A request or notification for objpool.x. 0, or -EEXIST: the msgid is in use. */
int service_request(struct session *session, struct rpc *rpc);

/* Restarts the pool's slots, one after the other; nobody waits. */
void service_restart_pool(struct daemon *daemon, struct pool *pool);

/* Slots have changed: goes on with the chores. */
void service_run_chores(struct daemon *daemon);

/* The pool goes: its chores end. */
void service_forget_pool(struct daemon *daemon, struct pool *pool);

#endif
