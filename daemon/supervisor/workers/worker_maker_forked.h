/* SPDX-License-Identifier: Apache-2.0 */
/* worker_maker_forked: the template is a process of objpool-worker, which forks a process for each worker. */
#ifndef SUPERVISOR_WORKER_MAKER_FORKED_H
#define SUPERVISOR_WORKER_MAKER_FORKED_H

#include "daemon/supervisor/workers/worker_maker.h"

extern const struct worker_maker worker_maker_forked;

#endif
