/* SPDX-License-Identifier: Apache-2.0 */
/* host_events: what `objpool events` tells of other hosts, and of the bus. from_gateway.c calls it. */
#ifndef SUPERVISOR_CLUSTER_HOST_EVENTS_H
#define SUPERVISOR_CLUSTER_HOST_EVENTS_H

#include "daemon/supervisor/cluster/hosts.h"

/* Records an event for each other host whose state, or whose gateway, is not the same in both. The gateway tells hosts in the
 * order of their names. A host that `now` lacks, since the gateway has forgotten it, is no event: it was gone before. */
void host_events_tell(const struct hosts *before, const struct hosts *now);

/* The state of the connection to the bus has changed. */
void host_events_tell_bus(const char *before, struct span now, struct span text);

#endif
