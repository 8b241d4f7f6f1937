/* SPDX-License-Identifier: Apache-2.0 */
/* remotes: the sections [remote NAME] of the configuration: which pools of other hosts have a plain name here, and which hosts
 * these are. */
#ifndef GATEWAY_REMOTES_H
#define GATEWAY_REMOTES_H

#include "gateway/core/session.h"

struct remote {
	char *pool;
	struct span hosts; /* a msgpack value: "*", or an array of names */
	uint8_t *kept;
	bool prefer_load;
};

/* The map `remotes` of CONFIG. 0, -EBADMSG or -ENOMEM. */
int remotes_set(struct gateway *gateway, struct span map);
void remotes_close(struct gateway *gateway);

/* NULL: there is no such section. */
const struct remote *remotes_find(const struct gateway *gateway, struct span pool);

/* Is the host among those of the section? */
bool remote_names(const struct remote *remote, const char *host);

#endif
