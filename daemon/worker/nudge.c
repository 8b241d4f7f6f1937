/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/nudge.h"

#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct nudge {
	struct reply *reply;
	struct board *board;
	pthread_t thread;
	_Atomic bool ended;
};

static void *watch(void *data)
{
	struct nudge *nudge = data;
	uint32_t seen = 0;

	while (!atomic_load(&nudge->ended)) {
		const uint32_t now = atomic_load(&nudge->board->nudge);
		if (now == seen) {
			(void)syscall(SYS_futex, &nudge->board->nudge, FUTEX_WAIT, seen, NULL, NULL, 0);
			continue;
		}
		seen = now;
		atomic_store(&nudge->board->nudged, now);
		reply_nudge(nudge->reply);
	}
	return NULL;
}

struct nudge *nudge_start(struct reply *reply, struct board *board)
{
	struct nudge *nudge = calloc(1, sizeof *nudge);
	pthread_attr_t attributes;
	sigset_t all, before;

	if (!nudge || pthread_attr_init(&attributes) != 0) {
		free(nudge);
		return NULL;
	}
	nudge->reply = reply;
	nudge->board = board;
	(void)pthread_attr_setstacksize(&attributes, 64 << 10);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that runs the plugin */
	const int r = pthread_create(&nudge->thread, &attributes, watch, nudge);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (r == 0)
		return nudge;
	free(nudge);
	return NULL;
}

void nudge_stop(struct nudge *nudge)
{
	if (!nudge)
		return;
	atomic_store(&nudge->ended, true);
	atomic_fetch_add(&nudge->board->nudge, 1);
	(void)syscall(SYS_futex, &nudge->board->nudge, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	(void)pthread_join(nudge->thread, NULL);
	free(nudge);
}
