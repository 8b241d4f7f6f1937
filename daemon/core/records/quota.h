/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota: what all clients of one user have together, and how much of it they may have. There is one for each user, in
 * core->quotas_by_name; the rights of the user refer to it (rights.h). It stays when the configuration is read again, with all
 * its counts: only its limits change.
 *
 *   [user ci] --> quota <-- rights <-- client 7 (3 calls in flight, 1 lease)
 *                       <-- rights <-- client 9 (1 call in flight)              inflight 4, leases 1
 *
 * Counted are the requests of sessions that have no answer yet, notifications that have not ended, leases, and direct channels.
 * Calls that methods make are not: they belong to a call that is counted. A call that was answered early while its method runs on
 * is in `lingering` until that method ends: else a client that gives up its calls could keep every instance busy.
 *
 * The rate is a bucket of `burst` calls, which fills with time. Instead of what it holds, `full_at` is kept: when it will be full.
 */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H

#include "daemon/core/base/core.h"
#include "daemon/core/base/error.h"

enum { CALL_PRIORITY_MIN = -10, CALL_PRIORITY_MAX = 10 };

enum { QUOTA_STRANGERS = 64 /* connections beyond max_sessions whose clients may still say that they are another user */ };

/* A rate: `calls` in each `period`, and `burst` at once. */
struct quota_rate {
	uint64_t calls; /* 0: there is no limit */
	uint64_t period; /* nanoseconds */
	uint64_t burst;
};

struct quota_limits {
	uint32_t max_sessions; /* 0: no limit */
	uint32_t max_inflight; /* 0: no limit. It holds for calls, for leases and for direct channels, each by itself */
	uint64_t max_memory;   /* 0: no limit */
	struct quota_rate rate;
	int8_t max_priority;   /* of its calls, those too that ask for none */
};

struct quota {
	uint32_t references;
	uint64_t id;
	struct core *core;
	char *name; /* of the user */
	struct account *account; /* above those of its sessions; its limit is max_memory */
	struct quota_limits limits;
	uint32_t connections; /* of clients that are this user, or would be if they gave no token */
	uint32_t sessions;  /* of these, whose client has asked something: it can't become another user any more */
	uint32_t inflight;  /* requests and notifications */
	uint32_t lingering; /* calls that were answered, and of which a task runs on */
	uint32_t leases;
	uint32_t directs;
	uint64_t full_at;
	uint64_t calls;    /* of pools, that its sessions have made */
	uint32_t far_over; /* sweeps in a row at which its sessions held far more than max_memory: for the supervisor */
	uint64_t denied, overloaded; /* requests that were refused */
};

/* The quota of that user, with one reference more. NULL: out of memory. */
struct quota *quota_get(struct core *core, const char *name);

/* NULL is passed through. */
struct quota *quota_ref(struct quota *quota);
void quota_unref(struct quota *quota);

/* Other limits, from now on. What is in flight, or was taken from the bucket, counts on. */
void quota_set_limits(struct quota *quota, const struct quota_limits *limits);

/* Of the limits of two users that a client is both: the smaller ones. */
struct quota_limits quota_smallest(const struct quota_limits *a, const struct quota_limits *b);

/* How many calls may begin now. UINT32_MAX: any number. */
uint32_t quota_room(const struct quota *quota);

/* Takes `count` calls, for which there is room, out of the bucket. */
void quota_take(struct quota *quota, uint32_t count);

/* One call is to begin: takes it out of the bucket. Or: a method of the daemon's own, for which only the rate counts. 0; or
 * -EBUSY: there is no room, and *error is made. */
int quota_take_call(struct quota *quota, struct error *error);
int quota_take_request(struct quota *quota, struct error *error);

/* A client has connected, and is counted in `connections`. Or: a client asks for the first time, and is not counted in `sessions`
 * yet. 0; or -EBUSY with *error made: its connection is to be closed. */
int quota_check_connection(struct quota *quota, struct error *error);
int quota_check_session(struct quota *quota, struct error *error);

/* May the user have one more lease, or one more direct channel? `held` is how many there are, `what` their name. 0; or -EBUSY with
 * *error made. */
int quota_check_held(struct quota *quota, uint32_t held, const char *what, struct error *error);

#endif
