/* SPDX-License-Identifier: Apache-2.0 */
/* What qemu does otherwise than Linux. Linked into the programs that run under it. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { POPULATE_WRITE = 23 };

__attribute__((visibility("hidden"))) int prctl(int option, ...);
__attribute__((visibility("hidden"))) int madvise(void *at, size_t size, int advice);

/* qemu does not know of subreapers. under_qemu.c has made the process one. */
int prctl(int option, ...)
{
	unsigned long words[4];
	va_list list;

	if (option == PR_SET_CHILD_SUBREAPER)
		return 0;
	va_start(list, option);
	for (int i = 0; i < 4; i++)
		words[i] = va_arg(list, unsigned long);
	va_end(list);
	return (int)syscall(SYS_prctl, option, words[0], words[1], words[2], words[3]);
}

/* qemu says that it has populated pages, and does nothing. Linux before 5.14 says that it can't. */
int madvise(void *at, size_t size, int advice)
{
	if (advice == POPULATE_WRITE) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_madvise, at, size, advice);
}
