/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the event loop, and what is done at the end of each of its turns. Events of a turn only note what they cause; the end of
 * the turn starts workers, sends to workers and clients, frees what has ended, and sets the timer for the next deadline.
 */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include "daemon/supervisor/base/daemon.h"

/* Makes the event base and the loop's own events. 0 or -1. */
int loop_open(struct daemon *daemon);

/* Turns until the daemon has stopped; returns the exit status. */
int loop_run(struct daemon *daemon);

/* Frees the sessions that have ended. */
void loop_free_ended(struct daemon *daemon);

/* Frees the events and the base. */
void loop_close(struct daemon *daemon);

#endif
