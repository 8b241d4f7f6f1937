/* SPDX-License-Identifier: Apache-2.0 */
/* worker_maker_threads: the template is a process of objpool-worker, and its workers are threads of that process. */
#ifndef SUPERVISOR_WORKER_MAKER_THREADS_H
#define SUPERVISOR_WORKER_MAKER_THREADS_H

#include "daemon/supervisor/workers/worker_maker.h"

extern const struct worker_maker worker_maker_threads;

#endif
