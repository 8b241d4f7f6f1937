/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask: what a request of a client asks for: which target, which method, which options. All spans point into the message. It is
 * read once, and written again for each host that is asked, with the host's name in the target and the options that are the
 * gateway's matter left out.
 */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "daemon/core/records/target.h"
#include "gateway/core/put.h"
#include "proto/rpc.h"

enum ask_kind { ASK_CALL, ASK_LEASE, ASK_RELEASE, ASK_FORGET, ASK_DESCRIBE, ASK_STATUS };

enum ask_errors { ASK_WAIT, ASK_FIRST, ASK_COLLECT };
enum ask_args { ASK_ZIP, ASK_SINGLE, ASK_POSITIONAL, ASK_KEYWORD, ASK_BOTH };
enum ask_sticky { ASK_NOT_STICKY, ASK_REPLACE, ASK_APPEND };

/* The options that the gateway reads, as bits. */
enum ask_option {
	OPTION_KWARGS = 1 << 0,
	OPTION_BIND = 1 << 1,
	OPTION_BIND_KWARGS = 1 << 2,
	OPTION_ARGS_AS = 1 << 3,
	OPTION_ERRORS = 1 << 4,
	OPTION_TIMEOUT = 1 << 5,
	OPTION_IDEMPOTENT = 1 << 6,
	OPTION_STREAM = 1 << 7,
	OPTION_ORDERED = 1 << 8,
	OPTION_WINDOW = 1 << 9,
	OPTION_SYNC = 1 << 10,
	OPTION_PROGRESS = 1 << 11,
	OPTION_STICKY = 1 << 12,
	OPTION_LABELS = 1 << 13,
	OPTION_CHUNK = 1 << 14,
};

struct ask {
	enum ask_kind kind;
	struct rpc rpc;
	bool full; /* objpool.call, not a method string */
	struct target target;
	struct span selector; /* with its colon; size 0: none */
	struct span method;
	struct span args; /* of a call: a whole array; size 0: nil, or none */
	struct span rest; /* of lease, release, forget, describe, status: the arguments after the target */
	uint32_t rest_count;
	struct span options; /* the pairs of the map, without its header */
	uint32_t option_count;
	unsigned given; /* enum ask_option: those that are there and not nil */
	/* their values */
	uint64_t timeout; /* nanoseconds; UINT64_MAX: none */
	bool has_waited;  /* some of its time has passed here: `timeout` is what is left */
	uint64_t window;  /* 0: none */
	enum ask_errors errors;
	enum ask_args args_as;
	enum ask_sticky sticky;
	struct span kwargs, bind, bind_kwargs;
	bool idempotent, stream, runs, ordered, sync, progress, labels;
	/* Borrowed. The spans lie in it: large ones are sent from there. NULL: they lie in nothing that lasts. */
	struct block *block;
};

/* Reads a request or notification. 0, or -EINVAL with *error made. `block` is NULL then: the caller may set it. */
int ask_read(struct ask *ask, const struct rpc *rpc, struct error *error);

const char *ask_args_name(enum ask_args args_as);

/* The request has waited here for so many nanoseconds: they are taken off its time. */
void ask_wait(struct ask *ask, uint64_t waited);

/* Writes the message for one host: the same request, with this number, whose target names the host. What is left of its time, in
 * milliseconds, takes the place of timeout_ms; UINT64_MAX: that is as it came. */
void ask_write(const struct ask *ask, struct sendq *to, uint32_t number, const char *host, uint64_t time_left);

/* Writes the beginning of objpool.call on a host, up to the options: number, target with that selector, method. The arguments and
 * the options follow, which the caller adds: ask_put_args, ask_put_options. */
void ask_put_call(const struct ask *ask, struct sendq *to, uint32_t number, const char *host, const char *selector);
void ask_put_args(const struct ask *ask, struct sendq *to);
/* Options but those of `without`; the header counts `more` pairs that the caller appends. */
void ask_put_options(const struct ask *ask, struct sendq *to, unsigned without, uint32_t more);

#endif
