/* SPDX-License-Identifier: Apache-2.0 */
/* spawn: starts a program of objpool's, and sees to it that the program gets nothing of this process that it is not meant to have. */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <sys/types.h>

struct spawn {
	const char *program; /* its path */
	char *const *argv;
	char *const *environment;
	int output, errors; /* become its standard output and standard error; its standard input is /dev/null */
	int channel;        /* becomes CHANNEL_FD (proto/channel.h); -1: there is none */
	int second;         /* becomes the descriptor behind it; 0: there is none */
};

/*
 * Starts it, in a session of its own: what is typed at the daemon's terminal is not for it. No other descriptor is open in it, whoever has opened that and without close-on-exec; no signal is blocked or
 * ignored. The descriptors of *what stay the caller's. 0 and *pid, or a negative errno.
 */
int spawn(const struct spawn *what, pid_t *pid);

#endif
