/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/log_quota.h"

#include "daemon/supervisor/log/log.h"

#define MINUTE UINT64_C(60000000000) /* nanoseconds */

bool log_quota_take(struct log_quota *quota, uint64_t now, const char *what)
{
	const uint32_t most = quota->most ? quota->most : LOG_QUOTA;

	if (now - quota->since >= MINUTE) {
		if (quota->count > most)
			log_say(LOG_NOTICE, "%u more %s", quota->count - most, what);
		*quota = (struct log_quota){.since = now, .most = quota->most};
	}
	return ++quota->count <= most;
}
