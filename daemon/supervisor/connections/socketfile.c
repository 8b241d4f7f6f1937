/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/socketfile.h"

#include "daemon/supervisor/base/identity.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct socketfile socketfile_of(const struct address *address)
{
	struct stat st;

	if (!address_is_unix(address) || lstat(address_path(address), &st) < 0)
		return (struct socketfile){0};
	return (struct socketfile){.device = st.st_dev, .inode = st.st_ino};
}

bool socketfile_is_lost(const struct socketfile *file, const struct address *address)
{
	const struct socketfile now = socketfile_of(address);
	return file->inode != 0 && (now.inode != file->inode || now.device != file->device);
}

__attribute__((format(printf, 3, 4)))
static int fail(char *reason, size_t size, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	(void)vsnprintf(reason, size, format, list);
	va_end(list);
	return -1;
}

int socketfile_set_rights(const struct config *config, const struct address *address, char *reason, size_t reason_size)
{
	const struct group *group = config->socket_group ? getgrnam(config->socket_group) : NULL;
	uid_t owner = (uid_t)-1;
	gid_t own = getegid();
	const char *path = address_path(address);
	struct stat st;

	const bool given = identity_will_be(config, &owner, &own);
	const gid_t wanted = group ? group->gr_gid : own;
	if (lstat(path, &st) < 0)
		return fail(reason, reason_size, "unix:%s: %s", path, strerror(errno));
	if ((st.st_gid != wanted || given) && lchown(path, owner, wanted) < 0)
		return fail(reason, reason_size, "unix:%s: can't give it to group %s: %s", path,
			    config->socket_group ? config->socket_group : "of the daemon", strerror(errno));
	if (chmod(path, (mode_t)config->socket_mode) < 0)
		return fail(reason, reason_size, "unix:%s: can't set its mode: %s", path, strerror(errno));
	return 0;
}

void socketfile_settle_rights(const struct socketfile *file, const struct config *config, const struct address *address)
{
	char reason[512];

	if (file->inode != 0 && !socketfile_is_lost(file, address) &&
	    socketfile_set_rights(config, address, reason, sizeof reason) < 0)
		log_say(LOG_ERR, "%s", reason);
}

void socketfile_remove(const struct socketfile *file, const struct address *address)
{
	if (file->inode != 0 && !socketfile_is_lost(file, address))
		(void)unlink(address_path(address));
}
