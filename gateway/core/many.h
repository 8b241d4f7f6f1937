/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many: a call over many items on the slots of several hosts: what a map in streams (map.c) and one in rounds (rounds.c) have in
 * common. This file keeps the items and the results; its ops decide which host gets which item, and when.
 *
 *   input --ops->go_on--> an item at a host --many_take--> results --> the client
 *     ^                          '-- many_lose: the host is lost
 *     '--- if it has not left this host, or the call is idempotent ---'     else HOST_LOST in its place
 */
#ifndef GATEWAY_MANY_H
#define GATEWAY_MANY_H

#include "gateway/core/hosts.h"
#include "gateway/core/input.h"
#include "gateway/core/results.h"

struct many;

struct many_ops {
	/* Items wait, or a host takes more: hands out what may be handed out. */
	void (*go_on)(struct many *many);
	/* The host is ready, and was not before; or it has other pools. */
	void (*came)(struct many *many, struct host *host);
	/* The call is over: gives up what hosts have. `tell`: hosts are told. */
	void (*give_up)(struct many *many, bool tell);
	void (*free)(struct many *many);
};

struct many {
	struct call call;
	const struct many_ops *ops;
	struct ask ask;      /* as a request, also of a notification: its end is to be known */
	struct block *block; /* holds what `ask` points into */
	struct input input;
	struct results results;
	uint64_t open; /* items that hosts have */
	bool timed;
	bool may_have_run;               /* of what lost hosts had, something is handed out again */
	struct span refusal;             /* the last error with which a host refused the whole, or was lost; owned */
	char lost[GATEWAY_NAME_MAX + 1]; /* this host */
};

/* Begins it, or refuses it. Takes `many` (NULL: there is no memory), all of whose fields are zero. 0; or -EEXIST: the msgid is in
 * use. */
int many_begin(struct many *many, const struct many_ops *ops, struct session *session, const struct ask *ask,
	       struct block *block);

/* Something has changed: ends the call if it is done, else goes on. */
void many_go_on(struct many *many);

/* May the host be given items? */
bool many_has(const struct many *many, const struct host *host);

/* Milliseconds that are left; UINT64_MAX: it has no deadline. */
uint64_t many_time_left(const struct many *many);

/* A host has answered for the item: error nil, or size 0: the value is the result. */
void many_take(struct many *many, struct item *item, const struct host *host, struct span error, struct span value,
	       struct block *block);

/* The item was at a host that is lost, or has failed as a whole, for which `error` stands. `left`: it had left this host. Takes
 * the item's reference. */
void many_lose(struct many *many, struct item item, const struct host *host, struct span error, bool left);

/* The error of a host that is lost, as a map: the caller frees it. Size 0: no memory. */
struct span many_flat_error(const struct many *many, const struct error *error);

/* Keeps the error: the host has refused the whole, or is lost. Takes it. */
void many_refused(struct many *many, struct span error);

/* No host is left: nothing more can run. */
void many_fail_rest(struct many *many);

void many_fail_for_memory(struct many *many);

#endif
