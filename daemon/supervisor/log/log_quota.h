/* SPDX-License-Identifier: Apache-2.0 */
/* log_quota: lines that clients cause, again and again if they like, must not fill the log: so many of a kind in a minute, and then
 * how many were left out. */
#ifndef SUPERVISOR_LOG_QUOTA_H
#define SUPERVISOR_LOG_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_QUOTA = 100 };

/* Of one kind of lines. All 0 at first. */
struct log_quota {
	uint64_t since; /* nanoseconds: when its minute began */
	uint32_t count; /* lines since then, said or left out */
	uint32_t most;  /* in a minute; 0: LOG_QUOTA */
};

/* May another line be said? When a minute is over in which lines were left out, says "N more WHAT". */
bool log_quota_take(struct log_quota *quota, uint64_t now, const char *what);

#endif
