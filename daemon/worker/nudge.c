/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/nudge.h"

#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	struct reply *reply;
	struct board *board;
} watched; /* the one thread's; set before it starts */

static void *watch(void *nothing)
{
	uint32_t seen = 0;

	(void)nothing;
	for (;;) {
		const uint32_t now = atomic_load(&watched.board->nudge);
		if (now == seen) {
			(void)syscall(SYS_futex, &watched.board->nudge, FUTEX_WAIT, seen, NULL, NULL, 0);
			continue;
		}
		seen = now;
		reply_nudge(watched.reply);
	}
	return NULL;
}

void nudge_start(struct reply *reply, struct board *board)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	watched.reply = reply;
	watched.board = board;
	if (pthread_attr_init(&attributes) != 0)
		return;
	(void)pthread_attr_setstacksize(&attributes, 64 << 10);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the plugin's own thread's business */
	(void)pthread_create(&thread, &attributes, watch, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
}
