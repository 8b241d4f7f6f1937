/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: the worker's loop. Hosts one instance of a class: reads calls from the channel, runs methods, writes what they
 * give. The supervisor's handover.c and slot.c are its mirror images; proto/channel.h draws the messages.
 */
#ifndef WORKER_HOST_H
#define WORKER_HOST_H

#include "daemon/worker/plugin.h"
#include "proto/channel.h"

#include <sys/types.h>

enum host_end {
	HOST_STOPPED, /* as the supervisor said; the instance has been destroyed */
	HOST_FAILED,  /* the constructor did, and the supervisor knows why */
	HOST_CUT_OFF, /* the channel has ended: the supervisor has gone */
};

/* Runs an instance, on the calling thread, until the supervisor says stop or goes away. The descriptor and the board stay the
 * caller's. `parent` is the process whose end shall be this one's; 0: the supervisor. */
enum host_end host_run(const struct plugin *plugin, struct board *board, int fd, pid_t parent);

#endif
