/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/logsink.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 16 << 10 };

static const struct logwriter_sink *sink; /* a process has one log */
static int journal = -1;                  /* a socket for datagrams */
static char *path;                        /* of the file; NULL: there is none */
static _Atomic int output = STDERR_FILENO; /* the file, once it is open. The writing thread alone changes it then */

/* ---- standard error, or a file ---- */

static ssize_t write_to_output(const char *bytes, size_t size)
{
	struct pollfd ready = {.fd = output, .events = POLLOUT};
	const ssize_t n = write(output, bytes, size < AT_ONCE ? size : AT_ONCE);

	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	(void)poll(&ready, 1, -1); /* another process has made the file non-blocking */
	return 0;
}

/* Not waiting: a FIFO that nobody reads is an error. The writing thread waits for one that is full. */
static int open_file(void)
{
	const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	return fd < 0 ? -errno : fd;
}

static const char *level_name(int level)
{
	return level <= LOG_ERR ? "error" : level == LOG_WARNING ? "warning" : level <= LOG_INFO ? "info" : "debug";
}

static size_t format_for_stderr(char *line, size_t room, const struct logsink_subject *about, const char *text)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	const size_t n = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, room - n, ".%03ldZ %s %s\n", now.tv_nsec / 1000000, level_name(about->level), text);
}

/* ---- the journal: a line is a datagram of systemd's native protocol, fields with a newline after each, and a '\0' ---- */

static ssize_t write_to_journal(const char *bytes, size_t size)
{
	static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
	const char *const end = memchr(bytes, '\0', size);
	const size_t length = (size_t)(end - bytes);

	if (sendto(journal, bytes, length, MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address) < 0)
		return errno == EINTR ? 0 : -errno;
	return (ssize_t)length + 1;
}

static size_t format_for_journal(char *line, size_t room, const struct logsink_subject *about, const char *text)
{
	size_t n = (size_t)snprintf(line, room, "PRIORITY=%d\nSYSLOG_IDENTIFIER=objpoold\nMESSAGE=%s\n", about->level, text);

	if (about->pool)
		n += (size_t)snprintf(line + n, room - n, "OBJPOOL_POOL=%s\n", about->pool->name);
	if (about->slot)
		n += (size_t)snprintf(line + n, room - n, "OBJPOOL_SLOT=%u\nOBJPOOL_GENERATION=%llu\n", about->slot->index,
				      (unsigned long long)about->slot->generation);
	if (about->stream)
		n += (size_t)snprintf(line + n, room - n, "OBJPOOL_STREAM=%s\n", about->stream);
	return n + 1;
}

/* Is standard error the journal's socket? $JOURNAL_STREAM has the device and inode of that socket. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

/* ---- either ---- */

static size_t tell_lost(char *line, size_t room, uint64_t lost)
{
	const struct logsink_subject about = {.level = LOG_WARNING};
	char text[128];

	snprintf(text, sizeof text, "%llu line%s of the log %s lost here: they could not be written in time",
		 (unsigned long long)lost, lost == 1 ? "" : "s", lost == 1 ? "is" : "are");
	return logsink_format(line, room, &about, text);
}

/* In the writing thread. The old file goes on if the new one can't be opened. */
static void reopen(void)
{
	const struct logsink_subject about = {.level = LOG_ERR};
	const int fd = open_file(), old = output;
	char text[512], line[sizeof text + LOGSINK_AROUND];

	if (fd >= 0) {
		output = fd;
		(void)close(old);
		return;
	}
	snprintf(text, sizeof text, "log_file = %s can't be opened anew, the old file goes on: %s", path, strerror(-fd));
	(void)write_to_output(line, logsink_format(line, sizeof line, &about, text));
}

static const struct logwriter_sink stderr_sink = {.end = '\n', .write = write_to_output, .tell_lost = tell_lost};
static const struct logwriter_sink file_sink = {.end = '\n', .write = write_to_output, .reopen = reopen, .tell_lost = tell_lost};
static const struct logwriter_sink journal_sink = {.end = '\0', .write = write_to_journal, .tell_lost = tell_lost};

const struct logwriter_sink *logsink_open(bool to_file)
{
	if (!to_file && stderr_is_journal() && journal < 0)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sink = to_file ? &file_sink : journal >= 0 ? &journal_sink : &stderr_sink;
	return sink;
}

int logsink_use_file(const char *wanted)
{
	if (!(path = strdup(wanted)))
		return -ENOMEM;
	const int fd = open_file();
	if (fd >= 0)
		output = fd;
	return fd < 0 ? fd : 0;
}

size_t logsink_format(char *line, size_t room, const struct logsink_subject *about, const char *text)
{
	return sink == &journal_sink ? format_for_journal(line, room, about, text) : format_for_stderr(line, room, about, text);
}
