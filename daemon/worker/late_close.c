/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/late_close.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	THREADS_MAX = 16, /* threads of the process */
	STACK = 64 << 10,
};

struct load {
	unsigned count;
	int fds[];
};

static _Atomic unsigned threads;

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		(void)close(fds[i]);
}

static void *run(void *data)
{
	struct load *load = data;

	close_all(load->fds, load->count);
	free(load);
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

static int start_thread(struct load *load)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attributes) != 0)
		return -1;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, STACK);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that runs the plugin */
	const int r = pthread_create(&thread, &attributes, run, load);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return r == 0 ? 0 : -1;
}

/* False: they are still open. */
static bool pass_on(const int *fds, unsigned count)
{
	struct load *load = malloc(sizeof *load + count * sizeof *fds);

	if (!load)
		return false;
	load->count = count;
	memcpy(load->fds, fds, count * sizeof *fds);
	if (atomic_fetch_add(&threads, 1) < THREADS_MAX && start_thread(load) == 0)
		return true;
	atomic_fetch_sub(&threads, 1);
	free(load);
	return false;
}

static void close_late(const int *fds, unsigned count)
{
	const struct linger none = {0};

	for (unsigned i = 0; i < count; i++) /* so that it rarely takes long; who has it still may undo this */
		(void)setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof none);
	if (count > 0 && !pass_on(fds, count))
		close_all(fds, count);
}

void late_close_connection(int fd)
{
	int waiting = 0;

	(void)shutdown(fd, SHUT_RDWR);
	if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0)
		(void)close(fd);
	else
		close_late(&fd, 1);
}

void late_close_sent(struct msghdr *message)
{
	struct arrivals_walk walk = arrivals_walk(message);
	int fds[ARRIVALS_AT_ONCE];
	unsigned count = 0;

	while (count < ARRIVALS_AT_ONCE && (fds[count] = arrivals_next(&walk)) >= 0)
		count++;
	close_late(fds, count);
}
