/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop: how the daemon stops.
 *
 *   RUNNING --SIGTERM--> DRAINING (what was accepted is finished) --> STOPPING (workers end) --> DONE
 *       '-------------------- second SIGTERM ---------------------------^
 */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

#include "daemon/supervisor/base/daemon.h"

/* daemon_ops.stop. With `now`, calls that run are not waited for. */
void stop_begin(struct daemon *daemon, bool now);

/* At the end of each turn while the daemon is not RUNNING: enters the next state when its time has come. */
void stop_go_on(struct daemon *daemon);

/* Closes all listeners. */
void stop_listening(struct daemon *daemon);

#endif
