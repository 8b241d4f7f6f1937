/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unclaimed: ends of children that nobody knew when they were waited for. A worker may have ended before its template's word of its pid
 * has been read; then its end is claimed with that word. Others are orphans that this process, a subreaper, has adopted: nobody
 * claims these.
 *
 * A pid that is claimed may have been another process's before. So an end counts only if no child of that pid is there: a child is there
 * from its birth until it has been waited for.
 */
#ifndef SUPERVISOR_UNCLAIMED_H
#define SUPERVISOR_UNCLAIMED_H

#include <stdint.h>
#include <sys/types.h>

enum { UNCLAIMED_MOST = 64 };

struct unclaimed {
	struct {
		pid_t pid; /* 0: none */
		int status;
	} ends[UNCLAIMED_MOST];
	uint32_t next;
};

/* A child that nobody knows has been waited for. The oldest is forgotten for it. */
void unclaimed_add(struct unclaimed *unclaimed, pid_t pid, int status);

/* What has become of a process that was born as a child of this one: 0: it has not been waited for. 1: it has, *status is how it ended.
 * -ESRCH: it has, and how it ended was forgotten. */
int unclaimed_take(struct unclaimed *unclaimed, pid_t pid, int *status);

#endif
