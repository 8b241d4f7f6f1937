/* SPDX-License-Identifier: Apache-2.0 */
/* under_qemu: in the place of a program of another architecture, for machines on which the kernel does not start qemu itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char **words = calloc((size_t)argc + 6, sizeof *words);
	size_t n = 0;

	if (!words || (strstr(PROGRAM, "objpoold") && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)) /* qemu can't */
		return 127;
	words[n++] = QEMU;
	words[n++] = "-L";
	words[n++] = ROOT;
	words[n++] = "-0"; /* the name by which it is called says what it is to be */
	words[n++] = argv[0];
	words[n++] = PROGRAM;
	if (argc > 1)
		memcpy(words + n, argv + 1, ((size_t)argc - 1) * sizeof *words);
	execv(QEMU, (char *const *)words);
	perror(QEMU);
	return 127;
}
