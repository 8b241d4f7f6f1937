/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon_session: the one session of the own daemon that all programs on the bus share. Its user is bus/-. It is opened when
 * something is asked and there is none. Errors come as maps.
 *
 *   begin, end --local->out--> daemon
 *   ops        <--bytes------- daemon
 */
#ifndef GATEWAY_DAEMON_SESSION_H
#define GATEWAY_DAEMON_SESSION_H

#include "gateway/core/inlet.h"
#include "gateway/core/local.h"
#include "proto/rpc.h"

struct asked;

struct asked_ops {
	/* The response has come: `asked` has ended. The bytes are gone when this returns. */
	void (*answered)(struct asked *asked, const struct rpc *rpc);
	/* None comes, or none that can be taken: `asked` has ended. */
	void (*lost)(struct asked *asked, const struct error *error);
};

/* A question that is owed an answer; embedded in its asker's. */
struct asked {
	const struct asked_ops *ops;
	uint64_t end; /* where its request ends among the bytes that were written */
};

struct daemon_session {
	struct gateway *gateway;
	struct local *local; /* NULL: there is none */
	struct idmap asked;
	uint32_t last_number;
	uint64_t written; /* bytes */
	size_t begun;     /* bytes in the queue, when a request was begun */
	size_t largest;   /* bytes of an answer that are taken */
	struct inlet inlet;
};

/* Begins a request; what is added to the queue, up to daemon_session_end, is the whole message. NULL: no session can be had. */
struct sendq *daemon_session_begin(struct daemon_session *session, uint32_t *number);
/* 0; or -ENOMEM: the session is lost, and `asked` has not begun. */
int daemon_session_end(struct daemon_session *session, uint32_t number, struct asked *asked, const struct asked_ops *ops);

/* Gives up the session; what it owes is lost, and told so. */
void daemon_session_close(struct daemon_session *session, const char *reason);

#endif
