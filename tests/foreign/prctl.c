/* SPDX-License-Identifier: Apache-2.0 */
/* prctl: linked into programs that run under qemu, which does not know of subreapers. under_qemu.c has made the process one. */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("hidden"))) int prctl(int option, ...)
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
