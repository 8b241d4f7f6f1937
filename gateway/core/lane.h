/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: what one client's session has with one host: a channel to the host's gateway, or, to this host itself, a session of the
 * own daemon. Requests go out on it with numbers of the lane's own, and each has a `sub`, which gets the response, and before it
 * any notifications. Errors come as maps: the first request of a lane is objpool.hello.
 *
 *   remote_call, gather, map --lane_begin ... lane_end(sub)--> lane --channel->out or local->out--> host
 *                            <--sub->ops---------------------- lane <--bytes, cut anywhere--------- host
 *
 * When the lane is lost, each sub is told so, with what is known of whether it ran: no, if its request had not left this host
 * whole.
 *
 * While the gateway's memory is taken up, what comes in part for clients that hold more than their share comes one message after
 * the other: of clients->thirsty only the first lane goes on.
 *
 * A lane lives as long as its session: leases and what else belongs to a session at the other host hang on it.
 */
#ifndef GATEWAY_LANE_H
#define GATEWAY_LANE_H

#include "gateway/core/channel.h"
#include "gateway/core/inlet.h"
#include "gateway/core/local.h"
#include "gateway/core/session.h"
#include "proto/rpc.h"

struct sub;

struct sub_ops {
	/* The answer; the sub has ended. `block` holds the bytes; NULL: they are gone when this returns. An answer, or a result
	 * of a stream, that is larger than this host takes is TOO_LARGE instead. */
	void (*response)(struct sub *sub, const struct rpc *rpc, struct block *block);
	/* A notification objpool.NAME whose first argument is the sub's number. `rest`: `count` further arguments. */
	void (*notice)(struct sub *sub, struct span name, struct reader rest, uint32_t count, struct block *block);
	/* The host will not answer; the sub has ended. */
	void (*lost)(struct sub *sub, const struct error *error);
};

struct sub {
	const struct sub_ops *ops;
	struct lane *lane; /* NULL: it has ended, or has not begun */
	uint32_t id;
	uint64_t end;       /* where its request ends among the bytes that were written to the lane */
	uint64_t left;      /* of one that is lost: so many bytes of the lane had left this host */
	uint64_t too_large; /* results that were, of which the host does not know that they failed */
};

struct lane {
	struct gateway_ending ending;
	TAILQ_ENTRY(lane) entry;
	struct session *session;
	struct host *host;
	struct channel *channel; /* one of these; both NULL: it has ended */
	struct local *local;
	struct idmap subs;
	uint32_t last_id;
	uint64_t written; /* bytes */
	size_t begun;     /* bytes in the queue, when a message was begun */
	struct inlet inlet;
	size_t withheld; /* bytes that were taken, and for which no credit has been given */
	TAILQ_ENTRY(lane) thirsty_entry;
	bool thirsty;   /* it is in clients->thirsty */
	uint64_t heard; /* when something came */
	bool over;
	bool complained; /* the daemon has answered hello with an error, or said what is wrong with the connection */
	char complaint[200];
};

/* The session's lane to the host, made if need be. NULL: it can't be had, and *error says why. */
struct lane *lane_to(struct session *session, struct host *host, struct error *error);

/* A message begins; lane_number is the number for a request. What is added to the queue, up to lane_end, is the whole message. */
struct sendq *lane_begin(struct lane *lane);
uint32_t lane_number(struct lane *lane);
/* `sub` waits for the response to the request of that number; NULL: it was a notification. 0; or -ENOMEM: the lane is lost, and
 * the sub has not begun. */
int lane_end(struct lane *lane, struct sub *sub, uint32_t number, const struct sub_ops *ops);

/* Nobody waits for the answer any more: it is dropped when it comes. */
void sub_forget(struct sub *sub);
/* The same; with `tell` the host is told to cancel it. The sub hears nothing of a lane that is lost meanwhile. */
void sub_give_up(struct sub *sub, bool tell);

/* Begins a notification about the sub: METHOD [its number, …], with `more` arguments that the caller adds to the queue. */
struct sendq *sub_notice_begin(struct sub *sub, const char *method, uint32_t more);
/* Sends it. Without memory the lane is lost, and the sub is told. */
void sub_notice_end(struct sub *sub);

/* Sends the notification objpool.cancel, unless the sub or its lane has ended. */
void sub_cancel(struct sub *sub);

/* The session is not full any more. */
void lane_resume(struct lane *lane);

/* The end of a turn: lets the first of clients->thirsty go on, and those that have memory again. */
void lanes_hear(struct gateway *gateway);

/* The session has ended. Its subs must have ended. */
void lane_close(struct lane *lane);

#endif
