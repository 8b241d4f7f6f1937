/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unclaimed: ends of children whose pid nobody knew when they were waited for. A worker may end before its template's FORKED
 * has been read; when it is read, the end is claimed. Other such children are orphans that this process, a subreaper, has
 * adopted: their ends are never claimed.
 *
 * The pid of a recorded end may have been used again. So a recorded end counts only if there is no child of this pid now: a child
 * exists from its birth until it has been waited for.
 */
#ifndef SUPERVISOR_UNCLAIMED_H
#define SUPERVISOR_UNCLAIMED_H

#include <stdint.h>
#include <sys/types.h>

enum { UNCLAIMED_MAX = 64 };

struct unclaimed {
	struct {
		pid_t pid; /* 0: none */
		int status;
	} ends[UNCLAIMED_MAX];
	uint32_t next;
};

/* Records the end of a child that nobody knows. Forgets the oldest end when there is no room. */
void unclaimed_add(struct unclaimed *unclaimed, pid_t pid, int status);

/* Has this child been waited for? 0: no. 1: yes, and *status is how it ended; the record is removed. -ESRCH: yes, but its
 * record was forgotten. */
int unclaimed_take(struct unclaimed *unclaimed, pid_t pid, int *status);

#endif
