/* SPDX-License-Identifier: Apache-2.0 */
/* thread_worker: a worker that is a thread of the template (isolation = thread). The supervisor's worker_maker_threads.c is the
 * mirror image. */
#ifndef WORKER_THREAD_WORKER_H
#define WORKER_THREAD_WORKER_H

#include "daemon/worker/plugin_load.h"
#include "daemon/worker/title.h"

/* Runs an instance on a thread of this process. The plugin and the pool's name must stay; the channel and the board of FORK
 * (proto/channel.h) are copied. 0 or a negative errno. */
int thread_worker_start(const struct plugin *plugin, const struct title *title, const int *fds);

#endif
