/* SPDX-License-Identifier: Apache-2.0 */
/* guests: the other hosts whose users have called pools here, and how many of their calls were carried out. */
#ifndef SUPERVISOR_GUESTS_H
#define SUPERVISOR_GUESTS_H

#include "daemon/supervisor/base/daemon.h"

/* The counter of the host's calls, which lasts as long as the daemon. NULL: out of memory, or there are too many hosts: its calls
 * are not counted. */
uint64_t *guests_counter(struct daemon *daemon, const char *host);

/* How many calls of the host were carried out. */
uint64_t guests_calls(const struct daemon *daemon, const char *host);

/* Forgets all. No session may be left. */
void guests_free(struct daemon *daemon);

#endif
