/* SPDX-License-Identifier: Apache-2.0 */
/* identity: the user that the daemon becomes when root has started it, and that `objpoold --check` becomes before it loads
 * plugins. */
#ifndef SUPERVISOR_IDENTITY_H
#define SUPERVISOR_IDENTITY_H

#include "daemon/supervisor/config/config.h"

#include <pwd.h>
#include <stdbool.h>
#include <sys/types.h>

/* The process, which is root's, becomes the user's, with this group and the user's other groups, and never root's again. 0 or a
 * negative errno. */
int identity_become(const struct passwd *user, gid_t group);

/* The process becomes what `user` and `group` of [daemon] say, if they say something. 0, or -1 with a sentence in `reason`. */
int identity_take(const struct config *config, char *reason, size_t size);

/* Is the process root's, and to become another user's? Then files that it makes now are for that user and group. */
bool identity_will_be(const struct config *config, uid_t *user, gid_t *group);

#endif
