/* SPDX-License-Identifier: Apache-2.0 */
/*
 * methods: those that a pool's class has, or that calls have named, and what is known of each: how long a task of it takes, by which
 * the scheduler hands out, and what was measured of it, for those who look (measure.h).
 */
#ifndef CORE_METHODS_H
#define CORE_METHODS_H

#include "daemon/core/base/histogram.h"
#include "daemon/core/base/idmap.h"
#include "proto/read.h"
#include "proto/timers.h"

#include <stdbool.h>

#define METHOD_CHUNK (MILLISECOND / 3) /* of work in one batch of a map */

enum { METHOD_CHUNK_MAX = 1 << 16 /* items in a batch */ };

struct measure {
	struct histogram calls; /* from a call's coming to its answer; whole calls */
	struct histogram runs;  /* in the method; tasks */
	uint64_t failures;      /* calls that were answered with an error */
};

struct method {
	char *name;
	uint64_t estimate;       /* nanoseconds per task, a moving average; 0: not known */
	uint64_t calls;          /* tasks */
	struct measure *measure; /* NULL: none yet, or it is one of the others */
};

struct methods {
	struct idmap by_name;   /* name_hash -> method */
	bool known;             /* the template has told which the class has */
	bool open;              /* the class takes names beyond them */
	uint32_t measured;      /* methods that have a measure */
	struct measure *others; /* of all the rest; NULL: none yet */
};

/* The template has told which methods there are: packed maps with a key "name". `open`: and takes others. `in_use`: calls refer to
 * those that were guessed before, which stay. 0, -EINVAL or -ENOMEM. */
int methods_set(struct methods *methods, struct span packed, bool open, bool in_use);
void methods_free(struct methods *methods);

/* The method of that name. NULL: the class is known not to have it (methods_lack), or there is no memory or room for one more. */
struct method *methods_find(struct methods *methods, struct span name);

static inline bool methods_lack(const struct methods *methods, const struct method *found)
{
	return !found && methods->known && !methods->open;
}

/* A task of the method took so long. */
void method_learn(struct method *method, uint64_t nanoseconds);

/* How many tasks of the method make a batch, by how long they take; 1 until that is known. */
uint32_t method_pace(const struct method *method);

/* The measure of the methods that have none of their own. NULL: out of memory. */
struct measure *methods_others(struct methods *methods);

#endif
