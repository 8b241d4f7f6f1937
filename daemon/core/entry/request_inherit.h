/* SPDX-License-Identifier: Apache-2.0 */
/* request_inherit: a request for other hosts that a method makes gets the trace and the priority of the method's own call as
 * options, unless it names others: there, nobody knows of the call that it comes from. */
#ifndef CORE_REQUEST_INHERIT_H
#define CORE_REQUEST_INHERIT_H

#include "daemon/core/records/call.h"

/* The block that holds the new request, which becomes *made. NULL: it stays as it is: there is nothing to inherit, it is large,
 * or there is no memory. */
struct block *request_inherit(const struct call *call, const struct client *client, const struct rpc *rpc, struct rpc *made);

#endif
