/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the daemon's top floor: starts everything, turns the loop, and stops. What the files below have it do comes by two tables,
 * core_ops and daemon_ops.
 *
 *   RUNNING --SIGTERM--> DRAINING (what was accepted is finished) --> STOPPING (workers end) --> done
 *       '-------------------- second SIGTERM ---------------------------^
 */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include "daemon/supervisor/base/daemon.h"

/* Starts everything. 0, or -1 with the reason logged. `config` is taken over. */
int loop_init(struct daemon *daemon, struct config *config, const char *path, char *const *listen, uint32_t listen_count);

/* Runs until it has stopped; returns the exit status. */
int loop_run(struct daemon *daemon);

/* After a start that failed, too. */
void loop_free(struct daemon *daemon);

#endif
