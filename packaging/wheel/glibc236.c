/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that glibc has since 2.36, and that objpoold or libevent uses, for the package that also runs with an older one. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

void arc4random_buf(void *buffer, size_t size)
{
	char *p = buffer, *end = p + size;

	while (p < end) {
		const ssize_t n = getrandom(p, (size_t)(end - p), 0);
		if (n < 0 && errno != EINTR)
			abort(); /* Linux has had getrandom since 3.17: nothing else can be wrong with it */
		p += n > 0 ? n : 0;
	}
}

uint32_t arc4random(void)
{
	uint32_t number;

	arc4random_buf(&number, sizeof number);
	return number;
}

int pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}
