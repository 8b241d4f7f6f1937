/* SPDX-License-Identifier: Apache-2.0 */
/* host_list: what the page shows of the cluster: the bus, the hosts with the pools that they share, and what has happened to hosts. */
#ifndef SUPERVISOR_HOST_LIST_H
#define SUPERVISOR_HOST_LIST_H

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/log/happened.h"

#include <msgpack.h>

/* Packs a map: of a daemon that is in a cluster. Hosts are left out beyond some number, and pools of a host; `count` and
 * `pool_count` say how many there are. Of pools only those that the rights (NULL: all) allow to be seen. */
void host_list_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);

/* How many events of the cluster are behind that place. Moves the place behind the last event. */
uint32_t host_list_count_events(struct happened_place *place);

/* Packs those events, the last ones if they are many. */
void host_list_pack_events(struct happened_place place, msgpack_packer *packer);

#endif
