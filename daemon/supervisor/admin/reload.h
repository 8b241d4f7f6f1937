/* SPDX-License-Identifier: Apache-2.0 */
/* reload: makes listeners and pools as the configuration says, when the daemon starts and on each reload. */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include "daemon/supervisor/admin/changes.h"
#include "daemon/supervisor/base/daemon.h"

enum { RELOAD_REASON = 512 };

/* Opens the addresses of the configuration and the command line that are not open. 0, or -1 with `reason`, and nothing has
 * changed. */
int reload_open_listeners(struct daemon *daemon, const struct config *config, char *reason, size_t reason_size);

/* Makes a pool of the section, and takes the section over. `session`: who has asked for it; 0: the configuration. NULL: out of
 * memory. */
struct pool *reload_start_pool(struct daemon *daemon, struct config_pool *section, uint64_t session);

/* Makes the pools of daemon->config. 0, or -1 with the reason logged. */
int reload_start_pools(struct daemon *daemon);

/* Reads the configuration again, and begins all changes. The caller releases the result (changes.h). NULL with `reason`:
 * nothing has changed. Both are logged. */
struct changes *reload(struct daemon *daemon, char reason[RELOAD_REASON]);

/* Has the pool's code loaded anew, by a new template, and its instances replaced as on a reload that changes what they are. The
 * caller releases the result. NULL with `reason`: nothing has changed. */
struct changes *reload_code(struct daemon *daemon, struct pool *pool, char reason[RELOAD_REASON]);

#endif
