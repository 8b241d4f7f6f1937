/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template: what the supervisor has of a pool's template process, and what the configuration says of the pool. The process is
 * started when a slot needs a worker and it is not there; workers live on when it dies. A client's program may have offered a
 * fork of itself instead.
 *
 * Its life is in template_life.h, its process and channel in template_process.h and template_channel.h, the forks that it is told
 * to make in template_forks.h. What differs between kinds of templates is in its worker_maker.
 */
#ifndef SUPERVISOR_TEMPLATE_H
#define SUPERVISOR_TEMPLATE_H

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/workers/said.h"

struct lines;
struct worker_maker;

enum { TEMPLATE_NAME_MAX = 100 }; /* bytes of the name where an offered one listens: fits into a socket's address */
enum { TEMPLATE_STARTS_TOLERATED = 3 };
#define TEMPLATE_PATIENCE (10 * SECOND) /* with a template that has been told to kill, or to fork what is to be killed */

enum template_state { TEMPLATE_NONE, TEMPLATE_LOADING, TEMPLATE_READY };

/* What slowlog knows of a pool. */
struct slowlog_pool {
	uint64_t next;     /* no backtrace before then */
	uint32_t left_out; /* since the last */
	bool denied;       /* the system does not permit them */
};

/* The processes that the pool has had as templates, also before a reload. */
struct template_loads {
	uint64_t started, failed; /* failed: ended, or were given up, before they had loaded the class */
	uint64_t took;            /* nanoseconds of the last loading that worked */
};

struct template {
	struct daemon *daemon;
	struct pool *pool;
	const struct worker_maker *maker;
	struct config_pool section; /* taken over */
	char *plugin_path;
	char *cgroup;               /* of a pool with memory_max; NULL: it has none */
	uint64_t killed_before;     /* of its processes by the out-of-memory killer, when the present one was started */
	bool created_by_client;     /* at run time: no file names it */
	uint64_t creator;           /* the session with which it goes; 0: it stays */
	enum template_state state;
	pid_t pid;                  /* 0: there is none, or it is a program's own */
	bool met;                   /* the program's process has been connected to */
	struct timer patience;      /* with a process that owes word of a worker's fork or end */
	int fd;
	struct event *event;
	struct lines *printed[2];   /* on its standard output, and standard error */
	struct worker_list waiting; /* workers that the process is to fork, once it is ready */
	struct worker_list forking; /* workers that it has been told to fork; in order */
	struct timer again; /* fires when forks are tried again that failed for want of memory, descriptors or processes */
	uint64_t pause;             /* nanoseconds before it fires; doubles, and is 0 once a fork has worked */
	uint64_t version;           /* number of what it makes: another one, or made later, has a higher number */
	struct template *before;    /* what served before a reload, until it is known that this one works; NULL: nothing */
	uint32_t scaled;            /* workers, as objpool.scale has set; 0: it has not */
	char reason[512];            /* why instances serve that a reload should have replaced; "": there are none */
	uint64_t life;              /* number of its present process, of all the daemon's templates */
	uint32_t failed_starts;     /* workers of this process that ended before they were ready, in a row */
	uint32_t tolerated_starts;  /* after so many a process that forks is replaced */
	struct block *description;  /* what it said of its class; NULL: nothing yet */
	struct span described;
	struct slowlog_pool slow;
	struct template_loads loads;
	struct said said;           /* what the pool's processes have printed: the template has it that the pool has */
	uint64_t generation;        /* number of the present process, or of its last, of all that the pool has had */
	uint64_t since;             /* when its state began */
	uint64_t said_before;       /* number of the last line that was printed before its present process */
	uint64_t full_told;         /* until then no event says that the pool's queue is full */
	struct procfs_memo procfs;
};

static inline struct template *template_of(const struct pool *pool)
{
	return pool->owner;
}

/* The process has begun to load (LOADING), has loaded (READY), or has ended or been given up (NONE). */
void template_set_state(struct template *template, enum template_state state);

/* What its process uses. All 0: there is none, or it is a program's. */
struct procfs template_usage(struct template *template);

/* Keeps what the process says of its class, and tells the pool. 0, -EBADMSG or -ENOMEM. */
int template_keep_description(struct template *template, struct span description);

/* Tells the pool what the class offers. 0, -EBADMSG or -ENOMEM. */
int template_describe_to_pool(const struct template *template);

/* A worker that its process number `life` has forked has become ready. */
void template_on_start_worked(struct template *template, uint64_t life);

/* The process owes word of a worker's fork or end from now on: template_on_silence looks whether it has come. */
void template_expect_word(struct template *template);

#endif
