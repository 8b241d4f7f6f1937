/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/log_quota.h"

#include "daemon/supervisor/log/log.h"

#define MINUTE UINT64_C(60000000000) /* nanoseconds */

bool log_quota_take(struct log_quota *quota, uint64_t now, const char *what)
{
	if (now - quota->since >= MINUTE) {
		if (quota->count > LOG_QUOTA)
			log_say(LOG_NOTICE, "%u more %s", quota->count - LOG_QUOTA, what);
		*quota = (struct log_quota){.since = now};
	}
	return ++quota->count <= LOG_QUOTA;
}
