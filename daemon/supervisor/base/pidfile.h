/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfile: a file with the daemon's pid, for init scripts that can't be told otherwise. It is locked while the daemon runs, so
 * that no second daemon takes it, whatever number a daemon that was killed has left in it.
 */
#ifndef SUPERVISOR_PIDFILE_H
#define SUPERVISOR_PIDFILE_H

#include <stddef.h>

struct pidfile;

/* Writes the file. NULL, with a sentence in `reason`. `path` must stay. */
struct pidfile *pidfile_open(const char *path, char *reason, size_t size);

/* Removes the file. If the daemon may not (root made it, before the daemon became another user's), it is emptied. */
struct pidfile *pidfile_close(struct pidfile *pidfile);

#endif
