/* SPDX-License-Identifier: Apache-2.0 */
/* socketfile: the file of a Unix socket that this process has bound. Others may remove it, and put their own in its place. */
#ifndef SUPERVISOR_SOCKETFILE_H
#define SUPERVISOR_SOCKETFILE_H

#include "daemon/supervisor/address.h"

#include <stdbool.h>
#include <sys/types.h>

/* Of no file when `inode` is 0: the address is no path, or the socket was bound by somebody else. */
struct socketfile {
	dev_t device;
	ino_t inode;
};

/* Takes note of the file that was just bound. As long as the socket is open no other file gets its number. */
struct socketfile socketfile_of(const struct address *address);

/* Has the file of a socket gone, or does its path lead to another's? */
bool socketfile_is_lost(const struct socketfile *file, const struct address *address);

/* Removes the file, unless it is lost. Before the socket is closed. */
void socketfile_remove(const struct socketfile *file, const struct address *address);

#endif
