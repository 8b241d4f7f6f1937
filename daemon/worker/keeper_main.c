/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/keeper_main.h"

#include "daemon/worker/quit.h"
#include "proto/groups.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

void keeper_main(void)
{
	struct groups *groups = mmap(NULL, sizeof *groups, PROT_READ | PROT_WRITE, MAP_SHARED, KEEPER_TABLE_FD, 0);
	sigset_t all;
	ssize_t n;
	char byte;

	if (groups == MAP_FAILED)
		quit_memory();
	sigfillset(&all); /* a signal to the whole group or session must not end the keeper before the supervisor */
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "objpool-keeper", 0, 0, 0);
	do
		n = read(CHANNEL_FD, &byte, 1);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0)
		groups_end_all(groups);
	_exit(0);
}
