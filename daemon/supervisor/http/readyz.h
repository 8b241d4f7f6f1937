/* SPDX-License-Identifier: Apache-2.0 */
/* readyz: the answers to /readyz. A request is answered when a worker of every pool has answered a probe (probe.h), or a second
 * later. */
#ifndef SUPERVISOR_READYZ_H
#define SUPERVISOR_READYZ_H

#include "daemon/supervisor/base/daemon.h"

#include <event2/http.h>

struct readyz {
	struct daemon *daemon;
	TAILQ_HEAD(, check) checks; /* requests that are not answered yet */
};

void readyz_open(struct readyz *readyz, struct daemon *daemon);

/* Answers the request: at once, if the daemon stops or has no memory; else in readyz_end_turn. The answer names only pools that the
 * rights allow to be seen. */
void readyz_ask(struct readyz *readyz, struct evhttp_request *request, struct rights *rights);

/* When a turn of the loop ends: answers the requests whose probes have all been answered. */
void readyz_end_turn(struct readyz *readyz);

/* Answers all requests: the address is being closed. */
void readyz_close(struct readyz *readyz);

#endif
