/* SPDX-License-Identifier: Apache-2.0 */
/* offers: the pools of the sections [remote NAME], and which of them another host would carry out a call of now. Where a pool of
 * that name is here, too, its calls stay here while no other host would. */
#ifndef SUPERVISOR_CLUSTER_OFFERS_H
#define SUPERVISOR_CLUSTER_OFFERS_H

#include "daemon/supervisor/cluster/state.h"

/* Takes the sections of the configuration, which has just been read. 0 or -ENOMEM. */
int offers_settle(struct cluster *cluster);
void offers_free(struct cluster *cluster);

/* The bus, or what is told of the hosts, has changed. */
void offers_look_at_hosts(struct cluster *cluster);

/* remote->offers, remote->takes (daemon/core/records/remote.h). */
bool offers_pool(const struct remote *remote, struct span pool);
bool offers_take(const struct remote *remote, const struct target *target, const struct pool *pool);

#endif
