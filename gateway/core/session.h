/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: a client of the own daemon that calls other hosts. The supervisor opens it before its first message and closes it when
 * the client is gone. What goes to the client is counted until the supervisor says that the client has taken it: while more than
 * GATEWAY_AHEAD is not taken, nothing more is read from hosts for this session (lane.c).
 */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include "gateway/core/base.h"
#include "gateway/core/leases.h"
#include "gateway/core/put.h"

struct call;
struct lane;
TAILQ_HEAD(call_list, call);
TAILQ_HEAD(lane_list, lane);

enum { SESSION_DENIALS = 8 };

/* A host has denied the session a method of a pool: for some time, calls of any host go to others. */
struct denial {
	struct host *host; /* NULL: none. It counts as one of its users */
	uint64_t what;     /* hash of pool and method */
	uint64_t until;
};

struct session {
	struct gateway_ending ending;
	TAILQ_ENTRY(session) entry;
	struct gateway *gateway;
	struct account *memory; /* below the gateway's: what it holds for this client */
	uint64_t sid;
	char *user;   /* "-": none */
	char *client; /* its name; may be "" */
	enum error_form form;
	struct idmap calls;    /* msgid -> call: those that are owed an answer */
	struct call_list list; /* all calls, also those that nobody waits for */
	struct lane_list lanes;
	struct leases leases;
	uint32_t held;    /* messages that wait: held.h */
	struct denial denials[SESSION_DENIALS]; /* the last few */
	unsigned denied_at;
	uint64_t untaken; /* bytes of messages to the client that it has not taken */
	size_t begun;     /* to_supervisor->bytes, when a message was begun */
	bool full;        /* untaken is over GATEWAY_AHEAD */
	bool closed;      /* CLOSE has come: nothing goes to the client any more */
};

TAILQ_HEAD(session_list, session);

/* All clients, and what CONFIG says of the pools that are elsewhere. */
struct clients {
	struct idmap by_sid;
	struct session_list list;
	struct call_list joinable; /* calls that hosts can join that come later */
	struct remote *remotes; /* remotes.h */
	uint32_t remote_count;
	TAILQ_HEAD(thirsty_lanes, lane) thirsty; /* lane.h */
	void (*resumed)(struct session *session);         /* it is not full any more */
	void (*idle)(struct session *session);            /* it is closed, and its last call has ended */
	void (*released)(struct gateway *gateway);        /* a host has had its sticky calls */
	void (*take)(struct session *session, struct span message, struct block *block); /* a message of the client: request.c */
	struct held *held;                                                               /* held.h */
};

int clients_open(struct gateway *gateway);

struct session *session_find(const struct gateway *gateway, uint64_t sid);

/* [OPEN, sid, {…}]: the map. A session that exists is changed. 0, -EBADMSG or -ENOMEM. */
int session_open(struct gateway *gateway, uint64_t sid, struct span map);

/* A session that is no client's, for calls with the rights of this user that the gateway makes itself; it ends with the last. */
struct session *session_of_user(struct gateway *gateway, const char *user);

/* Is the gateway's memory taken up, and has this client more than its share? Then it can't begin calls, and what comes for such
 * clients comes one message after the other. Where twice as much is held as may be, this is so for all clients. */
bool session_is_greedy(const struct session *session);

/* It has neither calls nor lanes any more, and is closed: frees it at the end of the turn. */
void session_free_if_over(struct session *session);

/* A message to the client begins: what is then added to the queue that is returned, up to session_end, is the whole RPC message.
 * NULL: the client is gone. */
struct sendq *session_begin(struct session *session);
void session_end(struct session *session);

/* The client has taken so many bytes. */
void session_taken(struct session *session, uint64_t bytes);

#endif
