/* SPDX-License-Identifier: Apache-2.0 */
/* check_acl: `objpoold --check --acl USER RIGHT NAME`: what objpool.acl of a daemon with this configuration would answer. */
#ifndef SUPERVISOR_CHECK_ACL_H
#define SUPERVISOR_CHECK_ACL_H

#include "daemon/supervisor/config/config.h"

/* `name` is POOL.METHOD or POOL. */
struct acl_question {
	const char *user, *right, *name;
};

/* 1: it is allowed; 0: it is not; -1: there is no such user or right, or no memory. `text` says so, for people; its parts that
 * come from the question are as they were given, so it must be escaped. */
int check_acl(const struct config *config, const struct acl_question *question, char *text, size_t size);

#endif
