/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper: the supervisor's side of what ends the process groups of workers and templates: by the supervisor itself, before it waits for
 * their leader, and by the keeper process when the supervisor has been killed. They share a table (proto/groups.h).
 */
#ifndef SUPERVISOR_KEEPER_H
#define SUPERVISOR_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

struct keeper;

/* Starts the process. `program` is objpool-worker's path; borrowed. NULL, with the reason logged: it can't be started. */
struct keeper *keeper_new(const char *program);

/* This child leads a group of its own. */
void keeper_add(struct keeper *keeper, pid_t leader);

/* A child that has ended, and nobody has waited for it yet; or that shall end: its group ends, if it leads one. */
void keeper_end(struct keeper *keeper, pid_t pid);

/* A child that has ended: was it the process? keeper_tidy starts it again. */
bool keeper_on_child(struct keeper *keeper, pid_t pid);

/* Now and then. */
void keeper_tidy(struct keeper *keeper);

/* Ends all groups, and the process. Accepts NULL; returns NULL. */
struct keeper *keeper_free(struct keeper *keeper);

#endif
