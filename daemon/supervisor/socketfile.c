/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/socketfile.h"

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

void socketfile_remove(const struct socketfile *file, const struct address *address)
{
	if (file->inode != 0 && !socketfile_is_lost(file, address))
		(void)unlink(address_path(address));
}
