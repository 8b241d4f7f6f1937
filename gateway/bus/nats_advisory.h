/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_advisory: what a NATS server tells of a connection that has ended, as JSON on $SYS.ACCOUNT.NAME.DISCONNECT
 * (https://docs.nats.io/running-a-nats-service/configuration/sys_accounts). Only the system account hears it, and accounts that
 * import it from there.
 *
 *   {"type": "io.nats.server.advisory.v1.client_disconnect", "client": {"name": "…", …}, "reason": "Client Closed", …}
 */
#ifndef GATEWAY_NATS_ADVISORY_H
#define GATEWAY_NATS_ADVISORY_H

#include "proto/read.h"

#define NATS_DISCONNECTS "$SYS.ACCOUNT.*.DISCONNECT"

enum { NATS_ADVISORY_NAME = 256 }; /* bytes of a name, with its NUL */

/* Reads the name that the connection had. 0; -ENOMEM; or -EBADMSG: it is no such message, or tells nothing of the client, as its
 * server stops and the client goes to another one. */
int nats_advisory_read(struct span json, char name[NATS_ADVISORY_NAME]);

#endif
