/* SPDX-License-Identifier: Apache-2.0 */
/* socketfile: the file of a Unix socket that this process has bound. Other processes may remove it, or put their own in its
 * place. */
#ifndef SUPERVISOR_SOCKETFILE_H
#define SUPERVISOR_SOCKETFILE_H

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/config/config.h"

#include <stdbool.h>
#include <sys/types.h>

/* `inode` 0: there is no file of ours: the address is no path, or another process has bound the socket. */
struct socketfile {
	dev_t device;
	ino_t inode;
};

/* The file of a socket that was just bound. No other file gets its inode number while the socket is open. */
struct socketfile socketfile_of(const struct address *address);

/* Has the file been removed, or is another file in its place? */
bool socketfile_is_lost(const struct socketfile *file, const struct address *address);

/* Gives the file the group and the mode that the configuration says. 0, or -1 with a sentence in `reason`. */
int socketfile_set_rights(const struct config *config, const struct address *address, char *reason, size_t reason_size);

/* The same for a file that is there already, unless it is lost. Says in the log what fails. */
void socketfile_settle_rights(const struct socketfile *file, const struct config *config, const struct address *address);

/* Removes the file, unless it is lost. To be called before the socket is closed. */
void socketfile_remove(const struct socketfile *file, const struct address *address);

#endif
