/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rights: what one user, or several whose rights unite, may do. The supervisor makes them from the configuration; the core asks
 * them before it looks up what a request names. They never change: when the configuration is read again, clients get others. A
 * call keeps the rights that its client had when it came, for the calls that its method makes.
 *
 * Where a `struct rights *` is NULL, everything is allowed: there are no users, or the client is root.
 */
#ifndef CORE_RIGHTS_H
#define CORE_RIGHTS_H

#include "daemon/core/records/quota.h"

enum right {
	RIGHT_CALL,
	RIGHT_ALL,
	RIGHT_DESCRIBE,
	RIGHT_CREATE,
	RIGHT_CODE,
	RIGHT_ADMIN,
	RIGHT_DIRECT,
	RIGHT_WATCH,
	RIGHT_OPERATE,
	RIGHT_DENY, /* no right: methods that are refused whatever else allows them. The last */
	RIGHTS
};

enum { RIGHTS_NAME_MAX = 4096 /* bytes of a name that may be allowed: no rule is compared with a longer one */ };

/* Patterns, as glob.h has them, and where they stand: FILE:LINE. */
struct rule {
	char *pool;
	char *method; /* NULL: the rule is about pools */
	char *place;
};

struct rules {
	struct rule *rules;
	uint32_t count;
};

struct rights {
	uint32_t references;
	char *user;  /* the names of the [user] sections, with commas; NULL: of nobody's user */
	char *place; /* of the first of these sections; NULL: there is none */
	/* May its clients see the pool at all? NULL: nothing is hidden from them. `host` and `seer` are for this function. */
	bool (*sees)(const struct rights *rights, struct span pool);
	const void *seer;
	char *host; /* where its clients come from; NULL: from here */
	struct quota *quota; /* of the user, or of these users together; NULL: nothing is limited. rights_set_quota sets it */
	struct rules of[RIGHTS];
};

/* New rights, which allow nothing. `user` and `place` may be NULL. NULL: out of memory. */
struct rights *rights_new(const char *user, const char *place);

/* Adds a rule. `method` is NULL for the rights that are about pools. A right that is about nothing has "*" as pool. 0 or
 * -ENOMEM. */
int rights_add(struct rights *rights, enum right right, const char *pool, const char *method, const char *place);

/* Adds the rules of another user. 0 or -ENOMEM. */
int rights_unite(struct rights *rights, const struct rights *other);

/* A copy, with the same quota. NULL: out of memory. */
struct rights *rights_copy(const struct rights *rights);

/* The quota of the clients with these rights: takes the reference. */
void rights_set_quota(struct rights *rights, struct quota *quota);

/* The priority of a call that asks for this one: no higher than the user's max_priority. */
static inline int8_t rights_bound_priority(const struct rights *rights, int8_t asked)
{
	const struct quota *quota = rights->quota;
	return quota && quota->limits.max_priority < asked ? quota->limits.max_priority : asked;
}

/* NULL is passed through. */
struct rights *rights_ref(struct rights *rights);
void rights_unref(struct rights *rights);

/* Gives up the rights that *place refers to, and takes a reference to others. */
void rights_set(struct rights **place, struct rights *rights);

/* Is a right about methods of pools, as POOL.METHOD? Else it is about pools, or (watch, operate) about nothing. */
static inline bool right_has_methods(enum right right)
{
	return right == RIGHT_CALL || right == RIGHT_ALL || right == RIGHT_DENY;
}

/* All that can be asked for, as errors list them. */
#define RIGHTS_NAMES "call, all, describe, create, code, admin, direct, watch and operate"

/* The key of the configuration. right_of: the right of that name; RIGHTS: there is none. */
const char *right_name(enum right right);
enum right right_of(struct span name);

/* What the rules say. `where`: of the rule that allows or refuses, or else of the user's section; NULL: there is none. */
struct ruling {
	bool allowed;
	const char *where;
};

/*
 * Do the rights allow this? Of methods: RIGHT_CALL with an empty method asks for any rule of the pool, as leases do. Of pools: an
 * empty `pool` asks for any rule. RIGHT_DIRECT also needs a rule for all methods of the pool, and RIGHT_CODE also RIGHT_CREATE. For
 * watch and operate, `pool` is the name of what is asked for. `rights` is not NULL.
 */
struct ruling rights_judge(const struct rights *rights, enum right right, struct span pool, struct span method);

/* The same for a right by its name, and "POOL.METHOD" or "POOL". 0; -EINVAL: there is no such right. */
int rights_answer(const struct rights *rights, struct span right, struct span name, struct ruling *ruling);

/* Makes the error DENIED unless the rights allow this. 0 or -EACCES. `rights` may be NULL. */
int rights_check(const struct rights *rights, enum right right, struct span pool, struct span method, struct error *error);

/* Makes the error DENIED. */
void rights_say_denied(const struct rights *rights, enum right right, struct span pool, struct span method, const char *where,
		       struct error *error);

/* Do the rights, which may be NULL, allow this right of the pool? */
bool rights_allow(const struct rights *rights, enum right right, const char *pool);

/* Is there any rule of this right? */
static inline bool rights_have_any(const struct rights *rights, enum right right)
{
	return !rights || rights->of[right].count > 0;
}

/* May the state of the pool be seen? */
static inline bool rights_may_see(const struct rights *rights, const char *pool)
{
	return rights_allow(rights, RIGHT_DESCRIBE, pool) || rights_allow(rights, RIGHT_WATCH, pool);
}

#endif
