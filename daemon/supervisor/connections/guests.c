/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/guests.h"

#include "proto/gateway_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUESTS_MAX = 4096 };

struct guest {
	TAILQ_ENTRY(guest) link;
	uint64_t calls;
	char host[GATEWAY_NAME_MAX + 1];
};

static struct guest *find(const struct daemon *daemon, const char *host)
{
	struct guest *guest;

	TAILQ_FOREACH(guest, &daemon->guests, link)
		if (strcmp(guest->host, host) == 0)
			return guest;
	return NULL;
}

uint64_t *guests_counter(struct daemon *daemon, const char *host)
{
	struct guest *guest = find(daemon, host);

	if (guest)
		return &guest->calls;
	guest = daemon->guest_count < GUESTS_MAX ? calloc(1, sizeof *guest) : NULL;
	if (!guest)
		return NULL;
	snprintf(guest->host, sizeof guest->host, "%s", host);
	TAILQ_INSERT_HEAD(&daemon->guests, guest, link);
	daemon->guest_count++;
	return &guest->calls;
}

uint64_t guests_calls(const struct daemon *daemon, const char *host)
{
	const struct guest *guest = find(daemon, host);
	return guest ? guest->calls : 0;
}

void guests_free(struct daemon *daemon)
{
	struct guest *guest;

	while ((guest = TAILQ_FIRST(&daemon->guests))) {
		TAILQ_REMOVE(&daemon->guests, guest, link);
		free(guest);
	}
	daemon->guest_count = 0;
}
