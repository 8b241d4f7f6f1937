/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_worker: the workers of a template that is a fork of a program. Such a template is no descendant of the supervisor, so
 * the supervisor can't adopt its workers. They stay children of the template. It tells the supervisor how they end, kills a
 * worker when it is told to, and ends all of them when it ends itself. The supervisor's worker_maker_program.c is the mirror
 * image.
 */
#ifndef WORKER_PROGRAM_WORKER_H
#define WORKER_PROGRAM_WORKER_H

#include "daemon/worker/plugin_load.h"
#include "daemon/worker/title.h"
#include "proto/groups.h"

#include <signal.h>

struct program_workers {
	struct groups groups; /* of the workers. Empty in objpool-worker: there the supervisor has them */
	struct {
		sigset_t mask;
		struct sigaction on_child;
	} before; /* of the program, as its workers shall have it */
};

/* In the new template: forgets the groups of the process that it was forked from, and has SIGCHLD end program_worker_wait. */
void program_workers_begin(struct program_workers *workers);

/* Kills all of them. */
void program_workers_end(struct program_workers *workers);

/* Forks a worker, which gets the descriptors of FORK (proto/channel.h) and closes the template's channel. Returns its pid or a
 * negative errno. */
pid_t program_worker_start(struct program_workers *workers, const struct plugin *plugin, const struct title *title,
			   int template_channel, const int *fds);

/* Waits until the channel can be read (true), or a worker may have ended (false). */
bool program_worker_wait(const struct program_workers *workers, int channel);

/* A worker that has ended, with its status; 0: there is none. What the worker has forked is killed. */
pid_t program_worker_reap(struct program_workers *workers, int *status);

/* Kills the worker, unless it has been reaped. */
void program_worker_kill(pid_t pid);

#endif
