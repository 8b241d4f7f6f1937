/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_view: what objpool.hosts, objpool.status and the metrics say of the cluster. */
#ifndef SUPERVISOR_CLUSTER_VIEW_H
#define SUPERVISOR_CLUSTER_VIEW_H

#include "daemon/supervisor/base/daemon.h"

#include <msgpack.h>
#include <stdio.h>

/* A map: this host, the bus, and all hosts with the pools that the rights (NULL: all) allow to be seen. Without a cluster the name
 * is nil, and there are no hosts. */
void cluster_view_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);

/* The same in a few words: {name, state, hosts: how many are ready, requests: that the gateway has}; nil without a cluster. */
void cluster_view_pack_short(const struct daemon *daemon, msgpack_packer *packer);

#endif
