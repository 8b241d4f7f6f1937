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
 * The supervisor has started this process. `linked` is NULL in objpool-worker, which loads its plugin; it is what the interpreter
 * has that objpool-worker may have become (plugin_script.h). `cage` is NULL then.
 */
_Noreturn void template_main(int channel, const struct objpool_plugin *linked, const struct cage_ops *cage);

/* The same in a process that a program offers: the workers are its children, not the supervisor's. */
_Noreturn void template_offered(int channel, const struct objpool_plugin *linked);

#endif
