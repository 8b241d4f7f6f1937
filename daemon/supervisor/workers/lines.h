/* SPDX-License-Identifier: Apache-2.0 */
/* lines: what a worker, a template, objpool-backtrace or objpool-gateway prints, line by line to the log, with pool and slot in
 * front. */
#ifndef SUPERVISOR_LINES_H
#define SUPERVISOR_LINES_H

#include "daemon/supervisor/base/daemon.h"

struct lines;

enum lines_kind { LINES_OUTPUT, LINES_ERRORS, LINES_BACKTRACE, LINES_GATEWAY };

/* Makes a pipe and logs what comes through it until its end. *fd is the writing end, which the caller closes. slot may be
 * NULL; of LINES_GATEWAY, pool too.
 * NULL with errno: it could not be made. */
struct lines *lines_open(struct daemon *daemon, enum lines_kind kind, const struct pool *pool, const struct slot *slot, int *fd);

/* Makes two, for a process's standard output and standard error. 0 or a negative errno. */
int lines_open_both(struct daemon *daemon, const struct pool *pool, const struct slot *slot, struct lines *both[2], int fds[2]);

/* Reads what is there, then frees. Accepts NULL; returns NULL. */
struct lines *lines_free(struct lines *lines);

#endif
