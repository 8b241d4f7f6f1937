/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool-worker: the image of a pool's template, and of the workers that it forks; and, by the name of objpool-keeper, of the
 * daemon's keeper. Started by objpoold, with its channel on descriptor 3; of no use by itself.
 */
#include "daemon/worker/cage/cage.h"
#include "daemon/worker/keeper_main.h"
#include "daemon/worker/template_main.h"
#include "proto/channel.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int type;
	socklen_t size = sizeof type;

	if (argc > 0 && strcmp(argv[0], "objpool-keeper") == 0)
		keeper_main();
	if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		(void)fputs("objpool-worker is started by objpoold, not by hand: see objpoold(8)\n", stderr);
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* end-of-file on the channel is the second line */
	template_main(CHANNEL_FD, NULL, &cage_ops);
}
