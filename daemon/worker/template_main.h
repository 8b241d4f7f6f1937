/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_main: the process that is a pool's template. It loads the plugin, has the class preload, tells the supervisor what
 * the class offers, and starts workers when the supervisor says so. The workers share what it has loaded, copy-on-write. The
 * supervisor's template_channel.c is its mirror image; proto/channel.h draws the messages.
 */
#ifndef WORKER_TEMPLATE_MAIN_H
#define WORKER_TEMPLATE_MAIN_H

#include "daemon/worker/cage/cage.h"

#include <objpool/plugin.h>

/*
 * Reads the supervisor's orders from a SOCK_SEQPACKET socket until the supervisor goes away. Never returns, also not in a worker
 * that was forked from it.
 *
 * `linked` is NULL in objpool-worker, which loads its plugin. Otherwise this process is a fork of a program that has the plugin
 * linked in: the workers are then children of this process, not of the supervisor. `cage` is NULL then.
 */
_Noreturn void template_main(int channel, const struct objpool_plugin *linked, const struct cage_ops *cage);

#endif
