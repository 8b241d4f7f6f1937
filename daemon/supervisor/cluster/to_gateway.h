/* SPDX-License-Identifier: Apache-2.0 */
/* to_gateway: writes the messages of proto/gateway_link.h to cluster->out. */
#ifndef SUPERVISOR_CLUSTER_TO_GATEWAY_H
#define SUPERVISOR_CLUSTER_TO_GATEWAY_H

#include "daemon/supervisor/cluster/state.h"

void to_gateway_config(struct cluster *cluster);
void to_gateway_open(struct cluster *cluster, uint64_t number, const char *user, enum error_form form, const char *name);
/* `block` holds the bytes of the params, and may have files that stand for values; NULL: they are copied. */
void to_gateway_message(struct cluster *cluster, uint64_t number, const struct rpc *rpc, struct block *block);
void to_gateway_close(struct cluster *cluster, uint64_t number);
void to_gateway_taken(struct cluster *cluster, uint64_t number, uint64_t bytes);
void to_gateway_pools(struct cluster *cluster);
void to_gateway_drain(struct cluster *cluster);

/* The bytes that the message has for the gateway, with what its files hold. */
uint64_t to_gateway_size(const struct rpc *rpc, const struct block *block);

#endif
