/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template: one process per pool. Loads the plugin, lets the class preload, tells the supervisor what the class offers,
 * and forks the pool's workers when told to. What it has loaded is shared, copy-on-write, by all of them.
 */
#ifndef WORKER_TEMPLATE_H
#define WORKER_TEMPLATE_H

#include <objpool/plugin.h>

/*
 * Runs on a SOCK_SEQPACKET socket until the supervisor goes away; the workers never return from it either.
 *
 * `linked` is NULL in objpool-worker. Else this process is a fork of somebody's program, which has the plugin in it: the workers, forks of
 * it, are its children and not the supervisor's.
 */
_Noreturn void template_run(int channel, const struct objpool_plugin *linked);

#endif
