/* SPDX-License-Identifier: Apache-2.0 */
/*
 * methods: the methods that a pool's class has, or that calls have named. Of each method: an estimate of how long a task
 * takes, which the scheduler uses, and a measure, which the metrics show.
 *
 * A measure is made when the first call of its method is answered. A pool measures MEASURE_MAX methods each for itself, and
 * all other methods as one: names that clients make up must not cost memory without end.
 */
#ifndef CORE_METHODS_H
#define CORE_METHODS_H

#include "daemon/core/base/histogram.h"
#include "daemon/core/base/idmap.h"
#include "proto/read.h"
#include "proto/timers.h"

#include <stdbool.h>

enum {
	METHOD_PACE_MAX = 1 << 16,  /* items */
	MEASURE_MAX = 128,          /* measures of a pool */
	MEASURE_NAME_MAX = 255,     /* bytes in the name of a method that is measured for itself */
};

struct measure {
	struct histogram calls; /* from when a call came to its answer */
	struct histogram runs;  /* of its tasks, in the method */
	uint64_t failures;      /* calls that were answered with an error */
};

struct method {
	char *name;
	uint64_t estimate;       /* nanoseconds per task, a moving average; 0: not known */
	int surprise;            /* > 0: so many batches in a row took over twice the estimate; -1: the last took under half */
	uint64_t calls;          /* tasks */
	bool at_work;            /* it has put off a call to go on with it: max_concurrent is for such calls */
	struct measure *measure; /* NULL: none yet, or the method counts in `others` */
};

struct methods {
	struct idmap by_name;   /* name_hash -> method */
	bool known;             /* the template has told which methods the class has */
	bool open;              /* the class takes other names, too */
	uint32_t measured;      /* methods that have a measure */
	struct measure *others; /* of all methods that have no measure of their own; NULL: none yet */
};

/* The template has told which methods the class has: `packed` is an array of maps with a key "name". `open`: the class takes
 * other names, too. `in_use`: calls refer to methods that calls had named before; these methods stay. 0, -EINVAL or -ENOMEM. */
int methods_set(struct methods *methods, struct span packed, bool open, bool in_use);
void methods_free(struct methods *methods);

/* The method of that name. NULL: the class doesn't have it (methods_lack is true then), or there is no memory or room for it. */
struct method *methods_find(struct methods *methods, struct span name);

/* `found` is what methods_find returned: is it known that the class has no such method? */
static inline bool methods_lack(const struct methods *methods, const struct method *found)
{
	return !found && methods->known && !methods->open;
}

/* Tasks of a batch took so long on average: moves the estimate. A single batch that took much longer moves it little, as its
 * worker may have waited for the CPU. Several such batches in a row move it much. */
void method_learn(struct method *method, uint64_t nanoseconds);

/* How many tasks of the method take so long, by the estimate: 1 to METHOD_PACE_MAX; 1 while there is no estimate. */
uint32_t method_pace(const struct method *method, uint64_t nanoseconds);

/* `count` calls have been answered, `failed` of them with errors, each after so long. `method` is NULL when the pool has no
 * record of it. Without memory for a measure the calls are not measured. */
void methods_add_calls(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count, uint32_t failed);

/* A worker has run `count` tasks, each of which took so long on average. */
void methods_add_runs(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count);

/* A worker has answered calls of direct channels, `failed` of them with errors. The time in the method is all that is known of
 * them. */
void methods_add_direct(struct methods *methods, struct method *method, const struct histogram *runs, uint64_t failed);

/* Gives one measure after the other, in no order, with the method's name; at the end `others`, named "(other)". *at begins at
 * 0. NULL: that was all. */
const struct measure *methods_next_measure(const struct methods *methods, uint32_t *at, const char **name);

/* Adds up the calls of all methods. */
void methods_all_calls(const struct methods *methods, struct histogram *sum);

#endif
