/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/identity.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The environment is for workers, which get it from here. */
static int set_environment(const struct passwd *user)
{
	const bool done = setenv("HOME", user->pw_dir, 1) == 0 && setenv("USER", user->pw_name, 1) == 0 &&
			  setenv("LOGNAME", user->pw_name, 1) == 0;
	return done ? 0 : -ENOMEM;
}

int identity_become(const struct passwd *user, gid_t group)
{
	if (initgroups(user->pw_name, group) < 0 || setgid(group) < 0 || setuid(user->pw_uid) < 0)
		return -errno;
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the kernel has taken it back: it would write no core file */
	return set_environment(user);
}

/* NULL: the configuration names none, or none that there is. */
static const struct passwd *find(const struct config *config, gid_t *group)
{
	const struct passwd *user = config->user ? getpwnam(config->user) : NULL;
	const struct group *named = user && config->group ? getgrnam(config->group) : NULL;

	if (!user || (config->group && !named))
		return NULL;
	*group = named ? named->gr_gid : user->pw_gid;
	return user;
}

bool identity_will_be(const struct config *config, uid_t *user, gid_t *group)
{
	const struct passwd *found = geteuid() == 0 ? find(config, group) : NULL;

	if (found)
		*user = found->pw_uid;
	return found;
}

int identity_take(const struct config *config, char *reason, size_t size)
{
	gid_t group;

	if (!config->user)
		return 0;
	const struct passwd *user = find(config, &group);
	int r = user ? 0 : -ENOENT;
	if (user && (geteuid() != user->pw_uid || getegid() != group))
		r = geteuid() == 0 ? identity_become(user, group) : -EPERM;
	if (r == 0)
		return 0;
	snprintf(reason, size, "%s: user = %s%s%s: %s", config_place(config, &config->user), config->user,
		 config->group ? ", group = " : "", config->group ? config->group : "",
		 r == -EPERM ? "only root can become another user" : strerror(-r));
	return -1;
}
