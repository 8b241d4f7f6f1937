/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template: one process per pool. Loads the plugin, lets the class preload, tells the supervisor what the class offers,
 * and forks the pool's workers when told to. What it has loaded is shared, copy-on-write, by all of them.
 */
#ifndef WORKER_TEMPLATE_H
#define WORKER_TEMPLATE_H

/* Runs on the SOCK_SEQPACKET socket CHANNEL_FD until the supervisor goes away; the workers never return from it either. */
_Noreturn void template_run(void);

#endif
