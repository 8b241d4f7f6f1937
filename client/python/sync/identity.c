/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process this is, and whether another one lives.
 *
 *   63           32 31 30 29         0
 *   [ start time   | flags |    pid   ]      start time: clock ticks since boot, the lower 32 bits
 */
#include "client/python/sync/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct life {
	char state;
	long threads;
	uint32_t start;
};

/* Reads /proc/<pid>/stat: "pid (name) state ..."; the name may have spaces and parentheses. */
static int life_read(const char *path, struct life *life)
{
	char text[1024];
	unsigned long long start;

	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	const ssize_t size = read(fd, text, sizeof text - 1);
	const int error = size < 0 ? errno : 0;
	(void)close(fd);
	if (size < 0)
		return -error;
	text[size] = 0;
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
			     &life->state, &life->threads, &start) != 3)
		return -EPROTO;
	life->start = (uint32_t)start;
	return 0;
}

uint64_t *identity_page;

static uint64_t identity_read(void)
{
	struct life life = {.start = 0};

	if (life_read("/proc/self/stat", &life) < 0)
		life.start = 0; /* others then know this process by its pid alone */
	return (uint64_t)life.start << 32 | ((uint32_t)getpid() & PID_MASK);
}

uint64_t identity_find(void)
{
	if (!identity_page) {
		void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK) < 0)
			return identity_read();
		identity_page = page;
	}
	return *identity_page = identity_read();
}

/* For a process of which /proc tells nothing. */
static bool has_ended(pid_t pid)
{
	const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH;
	struct pollfd end = {.fd = fd, .events = POLLIN};
	const bool ended = poll(&end, 1, 0) > 0;
	(void)close(fd);
	return ended;
}

bool identity_is_dead(uint64_t identity)
{
	const pid_t pid = (pid_t)(identity & PID_MASK);
	const uint32_t start = (uint32_t)(identity >> 32);
	char path[32];
	struct life life;

	if (identity == identity_self())
		return false;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (life_read(path, &life) < 0)
		return has_ended(pid);
	/* The first thread may have ended before the others. */
	const bool ended = (life.state == 'Z' || life.state == 'X') && life.threads <= 1;
	return ended || (start && life.start != start);
}

uint64_t identity_namespaces(void)
{
	struct stat pids = {.st_ino = 0}, times = {.st_ino = 0};

	if (stat("/proc/self/ns/pid", &pids) < 0)
		pids.st_ino = 0;
	if (stat("/proc/self/ns/time", &times) < 0)
		times.st_ino = 0;
	return (uint64_t)pids.st_ino << 32 ^ (uint64_t)times.st_ino;
}
