/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Why a file of this kind is not read; NULL: it may be read. */
static const char *refuse(const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return "this is a directory, not a file";
	if (S_ISFIFO(st->st_mode))
		return "this is a pipe, not a file";
	if (S_ISSOCK(st->st_mode))
		return "this is a socket, not a file";
	if (S_ISBLK(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev != makedev(1, 3))) /* 1, 3 is /dev/null */
		return "this is a device, not a file";
	return NULL;
}

/* The descriptor, or -1. Looks at the file before opening it, since opening alone acts on some devices, and again after, since
 * the file may have been replaced. */
static int open_file(const char *path, struct stat *st, const char **reason)
{
	if (stat(path, st) < 0) {
		*reason = strerror(errno);
		return -1;
	}
	if ((*reason = refuse(st)))
		return -1;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && fstat(fd, st) == 0 && !(*reason = refuse(st)))
		return fd;
	if (!*reason)
		*reason = strerror(errno);
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* Reads up to `most` bytes. -1: it can't be read. It doesn't rely on the file's size: a file may have grown, and some tell no
 * size. */
static ssize_t read_all(int fd, char *text, size_t most)
{
	size_t size = 0;

	while (size < most) {
		const ssize_t n = read(fd, text + size, most - size);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n == 0)
			break;
		size += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)size;
}

int textfile_read(const char *path, size_t most, char **text, size_t *size, char *reason, size_t reason_size)
{
	const char *cause = NULL;
	struct stat st;
	const int fd = open_file(path, &st, &cause);

	*text = NULL;
	if (fd < 0) {
		snprintf(reason, reason_size, "%s", cause);
		return -1;
	}
	const ssize_t n = (*text = malloc(most + 1)) ? read_all(fd, *text, most + 1) : -1;
	if (n < 0)
		snprintf(reason, reason_size, "%s", strerror(errno));
	else if ((size_t)n > most)
		snprintf(reason, reason_size, "the file is larger than %zu MiB, which is all that is read", most >> 20);
	(void)close(fd);
	if (n >= 0 && (size_t)n <= most) {
		(*text)[n] = '\0';
		*size = (size_t)n;
		return 0;
	}
	free(*text);
	*text = NULL;
	return -1;
}
