/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/daemon.h"

#include "daemon/supervisor/log/log.h"

#include <time.h>

void daemon_tick(struct daemon *daemon)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	daemon->core.now = (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

void daemon_set_trace(struct daemon *daemon)
{
	daemon->core.trace = log_wants(LOG_DEBUG) ? log_trace : NULL;
}
