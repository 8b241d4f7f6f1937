/* SPDX-License-Identifier: Apache-2.0 */
/* spawn: starts a program of objpool's, which gets no descriptor or signal setting of this process but those it is meant to
 * have. */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <sys/types.h>

struct spawn {
	const char *program; /* its path */
	char *const *argv;
	char *const *environment;
	int output, errors; /* become its standard output and standard error; its standard input is /dev/null */
	int channel;        /* becomes CHANNEL_FD (proto/channel.h); -1: there is none */
	int second;         /* becomes CHANNEL_FD + 1; 0: there is none */
};

/* The path of objpool-worker: as configured (NULL: it is not), or beside this program (a build tree), or where it is
 * installed. To be freed. NULL: out of memory. */
char *spawn_find_worker(const char *configured);

/* The environment of templates and workers: a few variables only. NULL: out of memory. */
char *const *spawn_environment(void);

/*
 * Starts the program in a session of its own, so that keys typed at the daemon's terminal do not reach it. All other
 * descriptors are closed in it, also those without close-on-exec. No signal is blocked or ignored. The descriptors of *what
 * stay the caller's. 0 and *pid, or a negative errno.
 */
int spawn(const struct spawn *what, pid_t *pid);

#endif
