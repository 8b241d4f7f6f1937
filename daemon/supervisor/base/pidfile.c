/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 10 };

struct pidfile {
	int fd;
	char *path;
};

/* The one who has removed the file may have had the lock that we waited for: is it still the file of that name? */
static bool is_there(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Returns a locked descriptor, or a negative errno. -EWOULDBLOCK: a daemon has it. */
static int open_locked(const char *path)
{
	for (int i = 0; i < TRIES; i++) {
		const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
		if (fd < 0)
			return -errno;
		const int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (r == 0 && is_there(fd))
			return fd;
		(void)close(fd);
		if (r < 0)
			return r;
	}
	return -EWOULDBLOCK;
}

static int write_pid(int fd)
{
	char text[32];
	const int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)n) != n)
		return errno ? -errno : -EIO;
	return 0;
}

struct pidfile *pidfile_open(const char *path, char *reason, size_t size)
{
	struct pidfile *pidfile = calloc(1, sizeof *pidfile);
	char *copy = strdup(path);
	const int fd = pidfile && copy ? open_locked(path) : -ENOMEM;
	const int r = fd < 0 ? fd : write_pid(fd);

	if (r == 0) {
		*pidfile = (struct pidfile){.fd = fd, .path = copy};
		return pidfile;
	}
	snprintf(reason, size, "pid_file = %s: %s", path, r == -EWOULDBLOCK ? "a daemon that runs has it" : strerror(-r));
	if (fd >= 0)
		(void)close(fd);
	free(copy);
	free(pidfile);
	return NULL;
}

struct pidfile *pidfile_close(struct pidfile *pidfile)
{
	if (!pidfile)
		return NULL;
	if (unlink(pidfile->path) < 0)
		(void)!ftruncate(pidfile->fd, 0);
	(void)close(pidfile->fd);
	free(pidfile->path);
	free(pidfile);
	return NULL;
}
