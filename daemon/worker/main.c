/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool-worker: the image of a pool's template, and of the workers that it forks. Started by objpoold, with its
 * channel on descriptor 3; of no use by itself.
 */
#include "daemon/worker/template.h"
#include "proto/channel.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	int type;
	socklen_t size = sizeof type;

	if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		(void)fputs("objpool-worker is started by objpoold, not by hand: see objpoold(8)\n", stderr);
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* end-of-file on the channel is the second line */
	template_run(CHANNEL_FD, NULL);
}
