/* SPDX-License-Identifier: Apache-2.0 */
/* lines: what a worker or template prints, line by line to the log, with pool and slot in front. */
#ifndef SUPERVISOR_LINES_H
#define SUPERVISOR_LINES_H

#include "daemon/supervisor/daemon.h"

struct lines;

/* Reads the descriptor (taken over) until its end. slot may be NULL. NULL: out of memory, and it is closed. */
struct lines *lines_new(struct daemon *daemon, int fd, const struct pool *pool, const struct slot *slot);

/* Their priority in the log; LOG_INFO unless told. */
void lines_set_level(struct lines *lines, int level);

/* Reads what is there, then frees. Accepts NULL; returns NULL. */
struct lines *lines_free(struct lines *lines);

#endif
