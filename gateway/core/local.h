/* SPDX-License-Identifier: Apache-2.0 */
/* local: a session of the own daemon that the gateway holds: for a session of another host (serve.c), or for a client of its own
 * daemon that calls this host as one of several (lane.c). base.h has the structure. */
#ifndef GATEWAY_LOCAL_H
#define GATEWAY_LOCAL_H

#include "gateway/core/base.h"

struct local_ops {
	void (*bytes)(struct local *local, struct span bytes);
	void (*sent)(struct local *local);
	void (*gone)(struct local *local); /* the program frees it */
};

/* Opens a session. `host` NULL: of the own daemon's client `sid`. NULL: it can't be had. */
struct local *local_open(struct gateway *gateway, const char *host, const char *user, uint64_t sid, const struct local_ops *ops,
			 void *user_side);

/* Bytes were added to local->out, which had so many before. */
void local_wrote(struct local *local, size_t bytes_before);

/* Whether the daemon's bytes may come. */
void local_read(struct local *local, bool reads);

/* The user is done with it. What is in local->out is still written. */
void local_close(struct local *local);

#endif
