/* SPDX-License-Identifier: Apache-2.0 */
/* loading: tells a new template process what to load, in the daemon and in `objpoold --check`. */
#ifndef SUPERVISOR_LOADING_H
#define SUPERVISOR_LOADING_H

#include "daemon/supervisor/config/config.h"

struct loading {
	const struct config_pool *section;
	const char *plugin_path;
	const char *cgroup; /* of the pool; NULL: it has none */
	uint64_t max_message;
	bool check;   /* the process is to check the plugin, class and arguments, and to end */
	bool preload; /* of a check: the class preloads, too */
	bool all;     /* of a check: not of the class, but of all that the plugin has */
	bool only;    /* of a check: of the class, and not of the arguments of its constructor */
};

/* Where the section's plugin lies. To be freed. NULL: out of memory. */
char *loading_path(const struct config *config, const struct config_pool *section);

/* Sends LOAD or CHECK (proto/channel.h). 0 or a negative errno. */
int loading_send(int fd, const struct loading *loading);

#endif
