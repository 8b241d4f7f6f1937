/* SPDX-License-Identifier: Apache-2.0 */
/* from_gateway: reads the messages of proto/gateway_link.h that the gateway sends. */
#ifndef SUPERVISOR_CLUSTER_FROM_GATEWAY_H
#define SUPERVISOR_CLUSTER_FROM_GATEWAY_H

#include "daemon/supervisor/cluster/state.h"

/* `block` holds the message's bytes; NULL: they are gone when this returns. 0, or -EBADMSG: it is none. */
int from_gateway_on_message(struct cluster *cluster, struct span message, struct block *block);

#endif
