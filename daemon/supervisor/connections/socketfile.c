/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/socketfile.h"

#include "daemon/supervisor/base/identity.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <fcntl.h>
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

/* Opens the file itself. What is done by a descriptor can't be led elsewhere by who owns the folder, and puts a link in the file's
 * place. Returns the descriptor, or a negative errno. */
static int open_itself(const char *path, struct stat *st)
{
	const int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const int r = fd < 0 || fstat(fd, st) < 0 ? -errno : S_ISSOCK(st->st_mode) ? fd : -ENOTSOCK;

	if (fd >= 0 && r < 0)
		(void)close(fd);
	return r;
}

static int change_mode(int fd, mode_t mode)
{
	char self[32];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* fchmod takes no descriptor of O_PATH */
	return chmod(self, mode);
}

int socketfile_set_rights(const struct config *config, const struct address *address, char *reason, size_t reason_size)
{
	const struct group *group = config->socket_group ? getgrnam(config->socket_group) : NULL;
	uid_t owner = (uid_t)-1;
	gid_t own = getegid();
	const bool given = identity_will_be(config, &owner, &own);
	const gid_t wanted = group ? group->gr_gid : own;
	const char *path = address_path(address);
	struct stat st;
	int r = 0;

	const int fd = open_itself(path, &st);
	if (fd < 0)
		return fail(reason, reason_size, "unix:%s: %s", path, strerror(-fd));
	if ((st.st_gid != wanted || given) && fchownat(fd, "", owner, wanted, AT_EMPTY_PATH) < 0)
		r = fail(reason, reason_size, "unix:%s: can't give it to group %s: %s", path,
			 config->socket_group ? config->socket_group : "of the daemon", strerror(errno));
	else if (change_mode(fd, (mode_t)config->socket_mode) < 0)
		r = fail(reason, reason_size, "unix:%s: can't set its mode: %s", path, strerror(errno));
	(void)close(fd);
	return r;
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
