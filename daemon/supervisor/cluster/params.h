/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params: the params of a client's message for the gateway. Where a value is in a file that the client has handed over, the
 * gateway gets its bytes: the file is mapped, and written to the socket from there.
 */
#ifndef SUPERVISOR_CLUSTER_PARAMS_H
#define SUPERVISOR_CLUSTER_PARAMS_H

#include "proto/read.h"
#include "proto/sendq.h"

/* How many bytes params_put writes, at most. */
uint64_t params_size(struct span params, const struct block *block);

/* Writes the params. `block` holds their bytes; NULL: they are copied. If a file can't be mapped, `to` has failed. */
void params_put(struct sendq *to, struct span params, struct block *block);

#endif
