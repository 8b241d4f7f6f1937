/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/cgroup.h"

#include "daemon/supervisor/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 4096, TEXT = 4096 };
#define MOUNTED "/sys/fs/cgroup" /* where cgroup v2 is mounted, if it is the machine's only one */

/* ---- files ---- */

/* 0 or a negative errno. */
static int put(const char *directory, const char *name, const char *text)
{
	char path[PATH];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	const int fd =
		open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644); /* the kernel's files are there, and no others can be made */
	if (fd < 0)
		return -errno;
	const ssize_t n = write(fd, text, strlen(text));
	const int r = n < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

static void get(const char *directory, const char *name, char *text, size_t size)
{
	char path[PATH];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	procfs_slurp(path, text, size);
}

static int make_directory(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* ---- what is to be removed ---- */

struct leftover {
	struct leftover *next;
	char path[];
};

/* 0, also if it isn't there; or -EBUSY: a process, or another cgroup, is in it. */
static int drop(const char *path)
{
	return rmdir(path) < 0 && errno == EBUSY ? -EBUSY : 0;
}

/* A process that was killed is in its cgroup until it has ended. Without memory the directory stays. */
static void drop_later(struct cgroups *cgroups, const char *path)
{
	const size_t size = strlen(path) + 1;
	struct leftover *leftover = drop(path) < 0 ? malloc(sizeof *leftover + size) : NULL;

	if (!leftover)
		return;
	memcpy(leftover->path, path, size);
	leftover->next = cgroups->first;
	cgroups->first = leftover;
}

void cgroups_tidy(struct cgroups *cgroups)
{
	struct leftover **place = &cgroups->first, *leftover;

	while ((leftover = *place)) {
		if (drop(leftover->path) < 0) {
			place = &leftover->next;
			continue;
		}
		*place = leftover->next;
		free(leftover);
	}
}

void cgroups_free(struct cgroups *cgroups)
{
	struct leftover *leftover;

	while ((leftover = cgroups->first)) {
		cgroups->first = leftover->next;
		free(leftover);
	}
	free(cgroups->base);
	cgroups->base = NULL;
}

/* ---- the daemon's own ---- */

static bool has_word(const char *text, const char *word)
{
	const size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n)
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
			return true;
	return false;
}

/* The daemon's cgroup; $OBJPOOL_CGROUP names another. */
static int find_base(char *base, size_t size, char *reason, size_t reason_size)
{
	const char *named = getenv("OBJPOOL_CGROUP");
	char text[TEXT];

	if (named) {
		snprintf(base, size, "%s", named);
		return 0;
	}
	procfs_slurp("/proc/self/cgroup", text, sizeof text);
	const char *line = strncmp(text, "0::", 3) == 0 ? text + 3 : strstr(text, "\n0::");
	if (line && *line == '\n')
		line += strlen("\n0::");
	if (!line) {
		snprintf(reason, reason_size, "memory_max needs cgroup v2, which this machine does not have");
		return -1;
	}
	snprintf(base, size, MOUNTED "%.*s", (int)strcspn(line, "\n"), line);
	return 0;
}

static int check_controller(const char *directory, char *reason, size_t size)
{
	char text[TEXT];

	get(directory, "cgroup.controllers", text, sizeof text);
	if (has_word(text, "memory"))
		return 0;
	snprintf(reason, size, "memory_max needs the memory controller of cgroup v2, which %s/cgroup.controllers does not name",
		 directory);
	return -1;
}

int cgroup_check(char *reason, size_t size)
{
	return check_controller(getenv("OBJPOOL_CGROUP") ? getenv("OBJPOOL_CGROUP") : MOUNTED, reason, size);
}

/* Only a cgroup without processes can have others below it with controllers. */
static int move_processes(const char *base)
{
	char text[TEXT], own[PATH], *rest = text;
	int r = 0;

	snprintf(own, sizeof own, "%s/daemon", base);
	if ((r = make_directory(own)) < 0)
		return r;
	get(base, "cgroup.procs", text, sizeof text);
	for (char *pid; r == 0 && (pid = strtok_r(rest, "\n", &rest));)
		if ((r = put(own, "cgroup.procs", pid)) == -ESRCH)
			r = 0; /* it has ended */
	return r;
}

static int begin(char **found, char *reason, size_t size)
{
	char base[PATH / 2];

	if (*found)
		return 0;
	if (find_base(base, sizeof base, reason, size) < 0 || check_controller(base, reason, size) < 0)
		return -1;
	int r = move_processes(base);
	if (r == 0)
		r = put(base, "cgroup.subtree_control", "+memory");
	if (r == 0 && !(*found = strdup(base)))
		r = -ENOMEM;
	if (r < 0)
		snprintf(reason, size, "memory_max: cgroup %s can't be used: %s: it must be delegated to the daemon (Delegate=)",
			 base, strerror(-r));
	return r;
}

/* ---- of a template ---- */

static int make_pool(const char *path, uint64_t max)
{
	char text[32], own[PATH];

	snprintf(text, sizeof text, "%" PRIu64, max);
	snprintf(own, sizeof own, "%s/template", path);
	int r = make_directory(path);
	if (r == 0)
		r = put(path, "memory.max", text);
	if (r == 0)
		r = put(path, "cgroup.subtree_control", "+memory");
	return r < 0 ? r : make_directory(own);
}

int cgroup_make(struct cgroups *cgroups, const struct cgroup_pool *pool, char **path, char *reason, size_t size)
{
	char made[PATH / 2];

	if (begin(&cgroups->base, reason, size) < 0)
		return -1;
	const int n = snprintf(made, sizeof made, "%s/%s.%" PRIu64, cgroups->base, pool->name, pool->version);
	int r = n < (int)sizeof made ? make_pool(made, pool->max) : -ENAMETOOLONG;
	if (r == 0 && !*path && !(*path = strdup(made)))
		r = -ENOMEM;
	if (r < 0)
		snprintf(reason, size, "memory_max: cgroup %s can't be made: %s", made, strerror(-r));
	return r < 0 ? -1 : 0;
}

char *cgroup_remove(struct cgroups *cgroups, char *path)
{
	char own[PATH];

	if (!path)
		return NULL;
	snprintf(own, sizeof own, "%s/template", path);
	drop_later(cgroups, path);
	drop_later(cgroups, own);
	cgroups_tidy(cgroups);
	free(path);
	return NULL;
}

/* ---- of a worker ---- */

int cgroup_make_worker(const char *pool, uint32_t slot, uint64_t generation, char **path, int *fd)
{
	char made[PATH / 2], file[PATH];
	const int n = snprintf(made, sizeof made, "%s/%u.%" PRIu64, pool, slot, generation);

	if (n >= (int)sizeof made)
		return -ENAMETOOLONG;
	(void)rmdir(made); /* one that an earlier daemon has left would have its events */
	const int r = make_directory(made);
	if (r < 0)
		return r;
	snprintf(file, sizeof file, "%s/cgroup.procs", made);
	*fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (*fd < 0)
		return -errno;
	free(*path);
	*path = strdup(made);
	if (*path)
		return 0;
	(void)close(*fd);
	*fd = -1;
	return -ENOMEM;
}

char *cgroup_remove_worker(struct cgroups *cgroups, char *path)
{
	if (path)
		drop_later(cgroups, path);
	free(path);
	return NULL;
}

static uint64_t count_kills(const char *path)
{
	char text[TEXT];
	uint64_t kills = 0;

	get(path, "memory.events", text, sizeof text);
	const char *line = strstr(text, "oom_kill ");
	return line && sscanf(line, "oom_kill %" SCNu64, &kills) == 1 ? kills : 0;
}

/* Of a cgroup that is directly in its pool's. */
static void describe_kill(const char *path, char *text, size_t size)
{
	static const char units[] = "\0KMG";
	char bytes[64];
	uint64_t max = 0;
	int unit = 0;

	get(path, "../memory.max", bytes, sizeof bytes);
	(void)sscanf(bytes, "%" SCNu64, &max);
	for (; unit < 3 && max && max % 1024 == 0; unit++)
		max /= 1024;
	snprintf(text, size, "killed by the kernel's out-of-memory killer: memory_max = %" PRIu64 "%.1s", max, &units[unit]);
}

bool cgroup_worker_verdict(const char *path, char *text, size_t size)
{
	if (count_kills(path) == 0)
		return false;
	describe_kill(path, text, size);
	return true;
}

uint64_t cgroup_template_kills(const char *pool)
{
	char own[PATH];

	snprintf(own, sizeof own, "%s/template", pool);
	return count_kills(own);
}

bool cgroup_template_verdict(const char *pool, uint64_t before, char *text, size_t size)
{
	char own[PATH];

	if (cgroup_template_kills(pool) <= before)
		return false;
	snprintf(own, sizeof own, "%s/template", pool);
	describe_kill(own, text, size);
	return true;
}
