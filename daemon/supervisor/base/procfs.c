/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/procfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MEMO_LASTS UINT64_C(500000000) /* nanoseconds */

void procfs_slurp(const char *path, char *text, size_t size)
{
	text[0] = '\0';
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	const ssize_t n = read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	(void)close(fd);
}

static void slurp_of(int64_t pid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%" PRId64 "/%s", pid, name);
	procfs_slurp(path, text, size);
}

static void read_memory(int64_t pid, struct procfs *procfs)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t resident, shared;
	char text[128];

	slurp_of(pid, "statm", text, sizeof text);
	if (sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return;
	procfs->rss = resident * page;
	procfs->own = resident > shared ? (resident - shared) * page : 0;
}

/* utime and stime are the 12th and 13th word behind the program's name, which may hold anything, also ')'. */
static double read_cpu(int64_t pid)
{
	uint64_t user = 0, system = 0;
	char text[1024];

	slurp_of(pid, "stat", text, sizeof text);
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64, &user, &system) != 2)
		return 0;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct procfs procfs_read(int64_t pid)
{
	struct procfs procfs = {0};

	if (pid <= 0)
		return procfs;
	read_memory(pid, &procfs);
	procfs.cpu_s = read_cpu(pid);
	return procfs;
}

struct procfs procfs_recall(struct procfs_memo *memo, int64_t pid, uint64_t now)
{
	if (memo->pid != pid || now >= memo->until)
		*memo = (struct procfs_memo){.known = procfs_read(pid), .pid = pid, .until = now + MEMO_LASTS};
	return memo->known;
}
