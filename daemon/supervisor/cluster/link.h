/* SPDX-License-Identifier: Apache-2.0 */
/* link: the socket between the supervisor and the gateway. */
#ifndef SUPERVISOR_CLUSTER_LINK_H
#define SUPERVISOR_CLUSTER_LINK_H

#include "daemon/supervisor/cluster/state.h"

/* Takes over the socket. 0 or -ENOMEM. */
int link_open(struct cluster *cluster, int fd);
void link_close(struct cluster *cluster);

/* Sends what is in cluster->out, as far as the socket takes it. */
void link_flush(struct cluster *cluster);

/* Reads what is still there of a gateway that has ended. */
void link_drain(struct cluster *cluster);

#endif
