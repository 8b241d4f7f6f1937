/* SPDX-License-Identifier: Apache-2.0 */
/* clients: what objpool.clients tells of a client. */
#ifndef SUPERVISOR_CLIENTS_H
#define SUPERVISOR_CLIENTS_H

#include "daemon/core/records/client.h"

#include <msgpack.h>

/* What the core does not know of a client. */
struct client_facts {
	const char *kind; /* "session" or "http" */
	const char *user; /* NULL: it is nobody's */
	const char *by, *peer;
	uint64_t since;
};

void clients_pack(const struct client *client, const struct client_facts *facts, msgpack_packer *packer);

#endif
