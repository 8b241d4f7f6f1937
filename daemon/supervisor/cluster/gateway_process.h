/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_process: the program objpool-gateway, a child of the supervisor. It is started again when it has ended, with a
 * pause that doubles while it keeps ending young.
 */
#ifndef SUPERVISOR_CLUSTER_GATEWAY_PROCESS_H
#define SUPERVISOR_CLUSTER_GATEWAY_PROCESS_H

#include "daemon/supervisor/cluster/state.h"

/* The path of the program: as configured, or beside this program, or where it is installed. To be freed. NULL: out of memory. */
char *gateway_process_find(const struct config *config);

/* 0 or -ENOMEM. And: ends it; then gateway_process_free. */
int gateway_process_init(struct cluster *cluster);
void gateway_process_free(struct cluster *cluster);

/* Starts it now, or says in the log why that can't be, and tries again later. */
void gateway_process_start(struct cluster *cluster);

/* Closes the link, and kills it. What it owes is answered when its end is known. */
void gateway_process_kill(struct cluster *cluster);

/* A child of the supervisor has ended. False: it was not this one. */
bool gateway_process_on_child(struct cluster *cluster, pid_t pid, int status);

#endif
