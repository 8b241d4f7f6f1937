/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: a request of a client that the gateway owes an answer, or a notification that it carries out. Each kind (remote_call,
 * gather, map) embeds it first and has its ops. What all have in common: its place in the session, its deadline, its one answer.
 */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/core/session.h"
#include "proto/rpc.h"

/* How much later than the deadline the gateway answers itself: the host's own answer says more. */
#define CALL_GRACE (100 * MILLISECOND)

struct call;
struct host;

struct call_ops {
	/* The client has cancelled it. */
	void (*cancel)(struct call *call);
	/* objpool.feed and feed_end: `count` arguments after the msgid. NULL: it is not fed. */
	void (*feed)(struct call *call, struct span items, struct block *block);
	void (*feed_end)(struct call *call, struct span error); /* size 0: none */
	/* Its deadline is over. */
	void (*overdue)(struct call *call);
	/* The client takes more again. NULL: all is the same to it. */
	void (*resumed)(struct call *call);
	/* The host is ready, and was not before; or it has other pools. NULL: all is the same to it. */
	void (*came)(struct call *call, struct host *host);
	/* It has ended, or its client is gone: gives up what it has at hosts. */
	void (*give_up)(struct call *call);
	/* Frees it. */
	void (*free)(struct call *call);
};

struct call {
	struct gateway_ending ending;
	TAILQ_ENTRY(call) entry;
	TAILQ_ENTRY(call) joinable; /* if its ops have `came` */
	struct session *session;
	struct account *memory; /* the session's; it outlives the session */
	const struct call_ops *ops;
	uint32_t msgid;
	bool is_request; /* false: a notification, which nothing answers */
	bool over;       /* it is answered */
	struct timer timer;
	uint64_t due; /* 0: no deadline */
};

/* A new call, without a deadline. 0; -ENOMEM; or -EEXIST: the msgid is in use. */
int call_begin(struct call *call, struct session *session, const struct rpc *rpc, const struct call_ops *ops);

/* Its deadline, so many nanoseconds from now; UINT64_MAX: none. */
void call_set_deadline(struct call *call, uint64_t timeout);

/* The same, but nothing happens then. */
void call_limit_time(struct call *call, uint64_t timeout);

/* Milliseconds until its deadline; 0: it is over. */
uint64_t call_time_left(const struct call *call);

/* Begins the response: error (NULL: nil, and the caller adds the result, then calls call_answer_end). NULL: nobody waits for it,
 * or it is over. In any case the call is over when it is answered, and is freed at the end of the turn. */
struct sendq *call_answer_begin(struct call *call);
void call_answer_end(struct call *call);
void call_fail(struct call *call, const struct error *error);

/* What the gateway knows of an error that a host has sent, or of one that stands for several. */
#define NO_CONTEXT .slot = -1, .index = -1, .items = -1
struct error_context {
	const char *host;  /* NULL: as it is in the error */
	const char *pool;  /* if the error does not say; NULL: likewise */
	int64_t slot;      /* if the error does not say; -1: likewise */
	int64_t index;     /* -1: as it is in the error */
	bool may_have_run; /* before, on another host: `ran` is not "no" then */
	int64_t items;     /* of a stream that fails: so many results came before; -1: it is none */
	uint64_t failed;   /* likewise: so many of them failed */
};

/* The same for an error that has come as a map: it is made what the client has asked for. */
void call_fail_with(struct call *call, struct span error, const struct error_context *context);

/* The call is over, answered or not. */
void call_end(struct call *call);

/* Begins a notification objpool.NAME [msgid, …] with so many further arguments, which the caller adds, and session_end. NULL:
 * nobody waits for it. */
struct sendq *call_notice_begin(struct call *call, const char *name, uint32_t count);

/* Tells the calls that hosts can join that this one has come. */
void call_tell_host(struct gateway *gateway, struct host *host);

/* Answers a request that has not become a call. */
void refuse_request(struct session *session, const struct rpc *rpc, const struct error *error);

/* Writes an error that has come as a map in the client's form. */
void put_error(struct sendq *to, struct span error, enum error_form form, const struct error_context *context);

#endif
