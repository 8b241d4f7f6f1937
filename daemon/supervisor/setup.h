/* SPDX-License-Identifier: Apache-2.0 */
/* setup: makes the daemon from its configuration, and frees it: memory, loop, process, addresses, pools. */
#ifndef SUPERVISOR_SETUP_H
#define SUPERVISOR_SETUP_H

#include "daemon/supervisor/base/daemon.h"

/* Starts everything. 0, or -1 with the reason logged. `config` and `tls` are taken over. */
int setup(struct daemon *daemon, struct config *config, struct tls_context *tls, const char *path, char *const *listen,
	  uint32_t listen_count);

/* Ends and frees what setup has made, also when setup has failed. */
void setup_undo(struct daemon *daemon);

#endif
