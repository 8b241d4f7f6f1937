/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/title.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { STAT_MAX = 2048 };

/* The command line: a process has one. The kernel shows it as it is while its last byte is '\0'. */
static struct {
	char *start;
	size_t size; /* 0: it is not known */
} line;

/* /proc/self/stat: arg_start and arg_end are the words 48 and 49. Word 2 is the name, in brackets, and may hold anything. */
void title_begin(void)
{
	char text[STAT_MAX];
	uintptr_t start, end;
	const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	const ssize_t n = read(fd, text, sizeof text - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	const char *word = strrchr(text, ')');
	for (int number = 2; word && number < 48; number++)
		word = strchr(word + 1, ' ');
	if (!word || sscanf(word, "%" SCNuPTR " %" SCNuPTR, &start, &end) != 2 || start == 0 || end <= start)
		return;
	line.start = (char *)start; /* NOLINT(performance-no-int-to-ptr): the kernel tells it as a number */
	line.size = end - start;
}

__attribute__((format(printf, 1, 2))) static void put_line(const char *format, ...)
{
	va_list list;

	if (line.size == 0)
		return;
	va_start(list, format);
	const int n = vsnprintf(line.start, line.size, format, list);
	va_end(list);
	if (n >= 0 && (size_t)n < line.size)
		memset(line.start + n, 0, line.size - (size_t)n);
}

/* The pool's name is cut so that the rest is shown whole. */
static void put_name(const char *pool, const char *rest)
{
	char name[TITLE_NAME];
	const int room = (int)(sizeof name - 1 - strlen(rest));

	if (snprintf(name, sizeof name, "%.*s%s", room, pool, rest) > 0)
		(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

void title_of_template(const char *pool, bool threads)
{
	put_line("objpool: %s of %s", threads ? "threads" : "template", pool);
	put_name(pool, ":template");
}

void title_of_thread(const struct title *title)
{
	char rest[TITLE_NAME];

	(void)snprintf(rest, sizeof rest, ":%" PRIu32, title->slot);
	put_name(title->pool, rest);
}

void title_of_worker(const struct title *title)
{
	put_line("objpool: %s slot %" PRIu32 " gen %" PRIu64, title->pool, title->slot, title->generation);
	title_of_thread(title);
}
