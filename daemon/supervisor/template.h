/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template: the supervisor's side of a pool's template process, and what the configuration says of the pool. It is
 * started when a slot needs a worker and it is not there; workers live on when it dies. A client's program may have offered
 * a fork of itself instead.
 */
#ifndef SUPERVISOR_TEMPLATE_H
#define SUPERVISOR_TEMPLATE_H

#include "daemon/supervisor/daemon.h"
#include "daemon/supervisor/lines.h"
#include "daemon/supervisor/slowlog.h"

enum { TEMPLATE_NAME_MOST = 100 }; /* bytes of the name where an offered one listens: fits into a socket's address */
enum template_state { TEMPLATE_NONE, TEMPLATE_LOADING, TEMPLATE_READY };

struct template {
	struct daemon *daemon;
	struct pool *pool;
	struct config_pool section; /* taken over */
	char *plugin_path;
	bool made;                  /* by a client, at run time: no file names it */
	uint64_t made_by;           /* the session with which it goes; 0: it stays */
	enum template_state state;
	pid_t pid;                  /* 0: there is none, or it is a program's own */
	bool met;                   /* the program's process has been connected to */
	struct timer patience;      /* with one that owes word of a worker's end */
	int fd;
	struct event *event;
	struct lines *printed[2];    /* on its standard output, and standard error */
	struct worker_list waiting; /* for it to be ready */
	struct worker_list forking; /* told to; in order */
	struct timer again;         /* fires when a fork is tried again that failed for want of something */
	uint64_t pause;             /* nanoseconds until then; doubles, and is 0 once a fork has worked */
	uint64_t version;           /* number of what it makes: another one, or made later, has a higher number */
	struct template *before;    /* what served before a reload, until it is known that this one works; NULL: nothing */
	uint32_t scaled;            /* workers, as objpool.scale has set; 0: it has not */
	char fault[512];            /* why instances serve that a reload should have replaced; "": there are none */
	uint64_t life;              /* number of its present process, of all the daemon's templates */
	uint32_t failed_starts;     /* workers of this process that ended before they were ready, in a row */
	uint32_t tolerated_starts;  /* so many of them are not the process's own fault */
	struct block *description;  /* what it said of its class; NULL: nothing yet */
	struct span described;
	struct slowlog_pool slow;
};

/* Takes the section over (it is empty then). The pool is set by the caller. NULL: out of memory. */
struct template *template_new(struct daemon *daemon, struct config_pool *section);

/* The worker shall be forked, as soon as that can be. worker_on_forked or worker_on_refused follows, never at once. */
void template_fork(struct template *template, struct worker *worker);

/* Called in each turn of the loop in which daemon->forks_wanted: starts the process and forks the workers that are wanted. */
void template_run(struct template *template);

/* Puts another in its place, for workers that are started from now on: those that live, live on. Keeps `old` as next->before. */
void template_succeed(struct template *old, struct template *next);

/* It works: frees what was before. */
void template_commit(struct template *template);

/* It doesn't: puts template->before in its place again, and frees it. */
void template_revert(struct template *template);

/* Its process has ended. */
void template_on_exit(struct template *template, int status);

/* Do its instances live on threads of its process? */
static inline bool template_has_threads(const struct template *template)
{
	return template->section.isolation == ISOLATION_THREAD;
}

/* Is it a fork of a client's program, and the parent of its workers? It ends when they are done with it, and can't be had
 * again. */
static inline bool template_is_program(const struct template *template)
{
	return template->section.offered;
}

/* A worker that it has forked has become ready. And: has ended before it was ready. */
void template_on_start_worked(struct template *template, const struct worker *worker);
void template_on_start_failed(struct template *template, const struct worker *worker);

/* Kills a worker's process. */
void template_kill(struct template *template, struct worker *worker);

/* The worker has no process yet, and shall not have one: worker_on_refused follows, or worker_on_forked if it is too late;
 * never at once. */
void template_on_unwanted(struct template *template, struct worker *worker);

/* Ends the process and frees everything. */
void template_free(struct template *template);

#endif
