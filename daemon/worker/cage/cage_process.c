/* SPDX-License-Identifier: Apache-2.0 */
/* cage_process: resources, environment and place of a template, which its workers inherit. */
#include "daemon/worker/cage/cage_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VARIABLE_MAX = 128 << 10, CPU_GRACE = 5 /* seconds from SIGXCPU to SIGKILL */ };

/* ---- limits ---- */

#ifdef __GLIBC__ /* which has an enumeration of them */
typedef __rlimit_resource_t resource_number;
#else
typedef int resource_number;
#endif

static int set_limit(const struct cage *cage, const char *key, int resource, int64_t value, int64_t grace)
{
	const struct rlimit limit = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value + (rlim_t)grace};
	struct rlimit now;

	if (value == CAGE_UNSET || setrlimit((resource_number)resource, &limit) == 0)
		return 0;
	const int error = errno;
	if (error == EPERM && getrlimit((resource_number)resource, &now) == 0)
		return cage_fail(cage, "%s = %" PRId64 " is more than the daemon's own limit, %" PRIu64, key, value,
				 (uint64_t)now.rlim_max);
	return cage_fail(cage, "%s = %" PRId64 ": %s", key, value, strerror(error));
}

int cage_set_limits(const struct cage *cage)
{
	if (set_limit(cage, "limit_memory", RLIMIT_AS, cage->limit_memory, 0) < 0 ||
	    set_limit(cage, "limit_files", RLIMIT_NOFILE, cage->limit_files, 0) < 0 ||
	    set_limit(cage, "limit_processes", RLIMIT_NPROC, cage->limit_processes, 0) < 0)
		return -1;
	return set_limit(cage, "limit_cpu", RLIMIT_CPU, cage->limit_cpu, CPU_GRACE);
}

/* The template's part of its pool's cgroup. Workers enter theirs by the file that comes with FORK. */
int cage_enter_cgroup(const struct cage *cage)
{
	char path[4096];

	if (cage->cgroup.size == 0)
		return 0;
	snprintf(path, sizeof path, "%.*s/template/cgroup.procs", SPAN_TEXT(cage->cgroup, 4000));
	const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	const ssize_t n = fd < 0 ? -1 : write(fd, "0", 1);
	const int error = errno;
	if (fd >= 0)
		(void)close(fd);
	return n == 1 ? 0 : cage_fail(cage, "memory_max: %s can't be written: %s", path, strerror(error));
}

/* ---- the scheduler ---- */

int cage_set_priority(const struct cage *cage)
{
	if (cage->nice == CAGE_UNSET || setpriority(PRIO_PROCESS, 0, (int)cage->nice) == 0)
		return 0;
	return cage_fail(cage, "nice = %" PRId64 ": %s", cage->nice,
			 errno == EACCES ? "the daemon may not raise the priority" : strerror(errno));
}

/* The kernel takes a set of which only some CPUs are there: that would be less than was asked for. */
int cage_apply_cpus(const struct cage *cage, const char *key, struct span text)
{
	cpu_set_t set, got;

	if (cage_parse_cpus((const char *)text.bytes, text.size, &set) < 0)
		return cage_fail(cage, "%s is no list of CPUs", key);
	if (sched_setaffinity(0, sizeof set, &set) == 0 && sched_getaffinity(0, sizeof got, &got) == 0 && CPU_EQUAL(&set, &got))
		return 0;
	return cage_fail(cage, "%s = %.*s: not all of these CPUs can be used here", key, SPAN_TEXT(text, 200));
}

int cage_set_cpus(const struct cage *cage)
{
	return cage->cpus.size > 0 ? cage_apply_cpus(cage, "cpus", cage->cpus) : 0;
}

/* ---- environment and place ---- */

int cage_apply_variables(const struct cage *cage, struct span map)
{
	char *name = malloc(VARIABLE_MAX), *value = malloc(VARIABLE_MAX);
	struct reader reader = reader_of(map);
	struct span key, text;
	uint32_t n;
	int r = name && value && read_map(&reader, &n) == 0 ? 0 : -1;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = read_text(&reader, &key) == 0 && read_text(&reader, &text) == 0 && cage_copy(key, name, VARIABLE_MAX) &&
				    cage_copy(text, value, VARIABLE_MAX)
			    ? setenv(name, value, 1)
			    : -1;
	free(name);
	free(value);
	return r < 0 ? cage_fail(cage, "the variables of the environment could not be set: out of memory") : 0;
}

int cage_set_environment(const struct cage *cage)
{
	return cage->env.size > 0 ? cage_apply_variables(cage, cage->env) : 0;
}

int cage_set_umask(const struct cage *cage)
{
	if (cage->umask != CAGE_UNSET)
		(void)umask((mode_t)cage->umask);
	return 0;
}

int cage_set_directory(const struct cage *cage)
{
	char path[4096];

	if (cage->directory.size == 0)
		return 0;
	if (!cage_copy(cage->directory, path, sizeof path))
		return cage_fail(cage, "directory is too long");
	return chdir(path) == 0 ? 0 : cage_fail(cage, "directory = %s: %s", path, strerror(errno));
}
