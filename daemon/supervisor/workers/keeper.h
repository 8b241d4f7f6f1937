/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper: ends the process groups of workers and templates. The supervisor kills a group before it waits for the group's
 * leader. When the supervisor has been killed, the keeper process (daemon/worker/keeper_main.h) kills the groups. Both share a
 * table (proto/groups.h).
 */
#ifndef SUPERVISOR_KEEPER_H
#define SUPERVISOR_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

struct keeper;

/* Starts the keeper process. `program` is objpool-worker's path; borrowed. NULL, with the reason logged: it can't be started. */
struct keeper *keeper_new(const char *program);

/* This child leads a group of its own: adds it to the table. */
void keeper_add(struct keeper *keeper, pid_t leader);

/* Kills the group that this child leads, if it leads one. Nobody may have waited for the child yet. keeper_free waits until the
 * group's processes have ended. */
void keeper_end(struct keeper *keeper, pid_t pid);

/* A child has ended: was it the keeper process? keeper_tidy starts it again. */
bool keeper_on_child(struct keeper *keeper, pid_t pid);

/* Called now and then: starts the keeper process if it is not there, and forgets groups that have ended. */
void keeper_tidy(struct keeper *keeper);

/* Kills all groups and the keeper process. Waits until they have ended, for two seconds at most: a process that is still there
 * when the daemon has gone would be a failure to the service manager. Accepts NULL; returns NULL. */
struct keeper *keeper_free(struct keeper *keeper);

#endif
