/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/unclaimed.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>

static int find(const struct unclaimed *unclaimed, pid_t pid)
{
	for (int i = 0; i < UNCLAIMED_MAX; i++)
		if (unclaimed->ends[i].pid == pid)
			return i;
	return -1;
}

void unclaimed_add(struct unclaimed *unclaimed, pid_t pid, int status)
{
	int place = find(unclaimed, pid); /* an earlier process with this pid */

	if (place < 0) {
		place = (int)unclaimed->next;
		unclaimed->next = (unclaimed->next + 1) % UNCLAIMED_MAX;
	}
	unclaimed->ends[place].pid = pid;
	unclaimed->ends[place].status = status;
}

static bool is_child(pid_t pid)
{
	siginfo_t info;
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

int unclaimed_take(struct unclaimed *unclaimed, pid_t pid, int *status)
{
	const int place = find(unclaimed, pid);

	if (is_child(pid))
		return 0;
	if (place < 0)
		return -ESRCH;
	*status = unclaimed->ends[place].status;
	unclaimed->ends[place].pid = 0;
	return 1;
}
