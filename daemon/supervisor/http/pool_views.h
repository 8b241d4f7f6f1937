/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_views: what the page shows of pools. Each second all pools are sampled (view/history.h). While somebody looks, they are
 * also drawn: the JSON of each pool, and of each slot of the pools that somebody has opened. All viewers share the drawings.
 * Each text has the number of the drawing that changed it, so that a viewer is sent only what is newer than what it has.
 *
 * The processes of workers are looked at in turns, some at each drawing: thousands of them would hold the loop.
 */
#ifndef SUPERVISOR_POOL_VIEWS_H
#define SUPERVISOR_POOL_VIEWS_H

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/http/json_text.h"
#include "daemon/supervisor/view/history.h"

/* A walk over the processes of a pool. */
struct usage_walk {
	uint32_t slot; /* the next */
	int64_t pid;   /* of the process that was read last: slots that are threads share one */
	uint64_t rss;  /* so far; likewise: */
	double cpu_s;
};

struct pool_view {
	TAILQ_ENTRY(pool_view) link;
	const struct pool *pool;
	struct history history;
	struct picture picture;
	struct picture *slots; /* [slot_count], while somebody has opened the pool */
	uint32_t slot_count;
	uint64_t wanted; /* number of the drawing for which somebody last wanted the slots */
	struct usage_walk walk;
	uint64_t rss; /* of all its processes, as the last whole walk has found; likewise: */
	double cpu_s;
};

struct pool_views {
	struct daemon *daemon;
	TAILQ_HEAD(, pool_view) list; /* in the order of the core's pools; not all of them if there are very many */
	uint32_t count;
	struct pool_view *next;  /* whose processes are looked at next; NULL: the first's */
	uint64_t sampled;        /* samples that have been taken */
	uint64_t drawing;        /* number of the last drawing */
	uint64_t drawn;          /* when that was */
	uint64_t changed;        /* number of the drawing at which a pool had last come or gone */
	struct procfs_memo self; /* what the daemon's own process uses */
};

/* NULL: out of memory. */
struct pool_views *pool_views_new(struct daemon *daemon);
void pool_views_free(struct pool_views *views);

/* The pool is freed. `views` may be NULL. */
void pool_views_on_pool_gone(struct pool_views *views, const struct pool *pool);

/* Makes views of pools that have come, and forgets those of pools that leave. Sampling and drawing do so, too. */
void pool_views_settle(struct pool_views *views);

/* To be called each second: takes a sample of each pool. */
void pool_views_sample(struct pool_views *views);

/* The next drawing is to have the slots of the pool, too. */
void pool_views_want(struct pool_views *views, const char *pool);

void pool_views_draw(struct pool_views *views);

/* Adds the slots of the pool to the last drawing, if it does not have them. */
void pool_views_add_slots(struct pool_views *views, const char *pool);

/* NULL: there is none. */
struct pool_view *pool_views_find(const struct pool_views *views, const char *pool);

#endif
