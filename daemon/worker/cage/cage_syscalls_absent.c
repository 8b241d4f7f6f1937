/* SPDX-License-Identifier: Apache-2.0 */
/* cage_syscalls_absent: in the place of cage_syscalls.c where objpool is built without libseccomp. A cage that needs a filter is
 * not entered: the pool does not start. */
#include "daemon/worker/cage/cage_steps.h"

int cage_filter_syscalls(const struct cage *cage, const struct cage_kernel *kernel)
{
	(void)kernel;
	return cage_confines(cage) || cage->syscalls != CAGE_UNSET
		       ? cage_fail(cage, "network, read, write and syscalls need a filter of system calls: objpool-worker was "
					 "built without "
					 "libseccomp")
		       : 0;
}
