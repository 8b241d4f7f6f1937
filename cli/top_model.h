/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_model: what `objpool top` shows, computed from two answers of objpool.status. A look is one answer taken apart, in the
 * daemon's order; once compared, it does not change any more, but for which of its pools are expanded. Pools, slots, users and
 * hosts are items alike: numbers, NaN where the daemon does not say, and texts, clean (top_text.h) and empty where it does not
 * say.
 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include "objpool/client.h"

enum top_value {
	TOP_WORKERS,
	TOP_READY,
	TOP_QUEUE,
	TOP_RUNNING, /* of a pool: batches; of a slot: for how many seconds */
	TOP_CALLS,
	TOP_FAILURES,
	TOP_RESTARTS,
	TOP_LOST,
	TOP_P99,
	TOP_RSS, /* of a pool: of its slots together, as the next two */
	TOP_CPU_S,
	TOP_CPU, /* per cent of one processor; this and the next two come from comparing */
	TOP_CALLS_RATE,
	TOP_FAILURES_RATE,
	TOP_SLOT,
	TOP_GENERATION,
	TOP_PID,
	TOP_SESSIONS, /* of a user, as those that follow */
	TOP_IN_FLIGHT,
	TOP_DENIED,
	TOP_OVERLOADED,
	TOP_MEMORY,
	TOP_RTT, /* of a host: seconds */
	TOP_VALUES
};

enum top_text {
	TOP_NAME,
	TOP_STATE,
	TOP_METHOD,  /* that a slot runs */
	TOP_TROUBLE, /* a pool's error, a slot's last failure; of a host, its pools */
	TOP_TEXTS
};

struct top_item {
	double values[TOP_VALUES];
	const char *texts[TOP_TEXTS]; /* in the look */
};

struct top_pool {
	struct top_item item;
	struct top_item *slots;
	size_t count;
	bool expanded;
};

/* All texts of an answer; each takes no more room than it had there. */
struct top_texts {
	char *bytes;
	size_t used, room;
};

struct top_look {
	struct top_texts texts, host_texts;
	const char *server, *version, *state;
	double pid, uptime_s, sessions, late;
	double hosts;  /* others of the cluster that are ready; NaN: there is no cluster */
	double workers, ready, calls_rate; /* of all pools together */
	struct top_pool *pools;
	size_t count;
	struct top_item *users; /* in the configuration's order; none where it has no users, or this client may not see them */
	size_t user_count;
	struct top_item *others; /* the hosts of the cluster, this one too */
	size_t other_count;
};

/* Takes an answer apart; it isn't needed afterwards. 0; -EINVAL: it is no map; -ENOMEM: the look is empty. */
int top_look_read(struct top_look *look, struct objpool_bytes status);

/* Takes an answer of objpool.hosts apart, likewise, for a look that has been read. 0; -ENOMEM: it shows no hosts. */
int top_look_add_hosts(struct top_look *look, struct objpool_bytes hosts);

/*
 * Computes rates, and takes over which pools are expanded. What the earlier look doesn't have, what has been made anew since,
 * and all after a restart of the daemon has no rates. The time between the looks is the daemon's own.
 */
void top_look_compare(struct top_look *look, const struct top_look *before);

/* The pool of that name, or NULL. */
struct top_pool *top_look_pool(const struct top_look *look, const char *name);

/* Frees what is in it; an empty look is fine. */
void top_look_free(struct top_look *look);

/* What rows can be sorted by. */
enum top_sort {
	TOP_BY_NAME,
	TOP_BY_STATE,
	TOP_BY_QUEUE,
	TOP_BY_RUNNING,
	TOP_BY_CALLS,
	TOP_BY_FAILURES,
	TOP_BY_P99,
	TOP_BY_RSS,
	TOP_BY_CPU,
	TOP_BY_RESTARTS,
	TOP_BY_LOST,
	TOP_SORTS
};
const char *top_sort_name(enum top_sort sort);

/* A line about a pool; or, in an expanded one, about a slot; or, with neither slot nor `is_pool`, the titles of its slots.
 * Without a pool: about a user or a host (`of_host`); or, without such an item, the titles of these. */
struct top_row {
	struct top_pool *pool;
	const struct top_item *slot, *other;
	bool is_pool, of_host;
};

/*
 * All rows, sorted: texts from A to Z and numbers from the largest down, or the other way with `reverse`; unknown numbers
 * are always last. Pools among themselves, and the slots of each. Users, and then hosts, come last, and are not sorted. The caller
 * frees; NULL: no memory, or no rows.
 */
struct top_row *top_rows(const struct top_look *look, enum top_sort sort, bool reverse, size_t *count);

#endif
