/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup: bounds the memory of a pool with memory_max, by a cgroup v2 of its own, and knows for sure when the kernel's
 * out-of-memory killer has ended a worker.
 *
 *     BASE                     the daemon's own cgroup, which the service manager has delegated to it
 *     BASE/daemon              all processes that are in no other
 *     BASE/POOL.N              memory.max; N is the number of the template
 *     BASE/POOL.N/template
 *     BASE/POOL.N/SLOT.GENERATION   one worker; its memory.events tell of its end
 *
 * The processes enter their cgroups themselves: that may wait for others in the kernel, and the supervisor must not wait.
 */
#ifndef SUPERVISOR_CGROUP_H
#define SUPERVISOR_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cgroups {
	char *base;             /* the daemon's own; NULL: no pool has needed it yet */
	struct leftover *first; /* to be removed, when the processes in them have ended. The newest first: inner before outer */
};

struct cgroup_pool {
	const char *name;
	uint64_t version; /* of its template */
	uint64_t max;     /* bytes */
};

/* Can this machine bound the memory of a pool at all? 0, or -1 with the reason. */
int cgroup_check(char *reason, size_t size);

/* Makes the cgroups of a template. The daemon's is found, and made ready, the first time; *path becomes the pool's, to be freed by
 * cgroup_remove, unless it is there already. 0, or -1 with the reason. */
int cgroup_make(struct cgroups *cgroups, const struct cgroup_pool *pool, char **path, char *reason, size_t size);

/* Removes a pool's cgroups, now or when the last process in them has ended, and frees the path. Returns NULL. */
char *cgroup_remove(struct cgroups *cgroups, char *path);

/* Makes a worker's in its pool's, and opens the file by which it enters. *path becomes the worker's, to be freed by
 * cgroup_remove_worker. 0 or a negative errno. */
int cgroup_make_worker(const char *pool, uint32_t slot, uint64_t generation, char **path, int *fd);
char *cgroup_remove_worker(struct cgroups *cgroups, char *path);

/* A process has ended: removes what can be removed now. */
void cgroups_tidy(struct cgroups *cgroups);
void cgroups_free(struct cgroups *cgroups);

/* Has the out-of-memory killer ended a process of that worker? Writes "killed by the kernel's out-of-memory killer: memory_max =
 * 256M" then. */
bool cgroup_worker_verdict(const char *path, char *text, size_t size);

/* Likewise of a pool's template, or of workers that are its threads: has it ended more of these than `before`? */
bool cgroup_template_verdict(const char *pool, uint64_t before, char *text, size_t size);
uint64_t cgroup_template_kills(const char *pool);

#endif
