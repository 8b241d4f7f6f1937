/* SPDX-License-Identifier: Apache-2.0 */
/* settings: what the supervisor's CONFIG (proto/gateway_link.h) says of the bus. */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include "proto/gateway_link.h"
#include "proto/read.h"

#include <stdbool.h>

struct settings {
	char *name, *domain; /* of this host, and of the hosts that see each other */
	char *servers[GATEWAY_SERVERS_MAX];
	uint32_t server_count;
	char *ca, *cert, *key, *creds; /* paths; NULL: none */
};

/* Is the message a CONFIG? */
bool settings_are_in(struct span message);

/* Reads a CONFIG. *settings is overwritten. 0, -EBADMSG or -ENOMEM; then there is nothing to free. */
int settings_read(struct settings *settings, struct span message);

bool settings_equal(const struct settings *a, const struct settings *b);
void settings_free(struct settings *settings);

#endif
