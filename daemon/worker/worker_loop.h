/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_loop: the worker's loop. It reads messages from the channel, has each handled, and sends finished answers. The mirror
 * images are the core's to_worker.c and from_worker.c; proto/channel.h draws the messages.
 */
#ifndef WORKER_WORKER_LOOP_H
#define WORKER_WORKER_LOOP_H

#include "daemon/worker/host.h"

/* Runs an instance, on the calling thread, until the supervisor says stop or goes away. The descriptor and the board stay the
 * caller's. `parent` is the process whose end shall be this one's; 0: the supervisor. */
enum host_end worker_loop_run(const struct plugin *plugin, struct board *board, int fd, pid_t parent);

#endif
