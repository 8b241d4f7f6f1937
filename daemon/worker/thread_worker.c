/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/thread_worker.h"

#include "daemon/worker/worker_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct thread_worker {
	const struct plugin *plugin;
	struct title title;
	int fd;
	struct board *board;
};

static struct thread_worker *thread_worker_free(struct thread_worker *worker)
{
	if (!worker)
		return NULL;
	if (worker->board != MAP_FAILED)
		(void)munmap(worker->board, sizeof *worker->board);
	if (worker->fd >= 0)
		(void)close(worker->fd);
	free(worker);
	return NULL;
}

static void *run(void *data)
{
	struct thread_worker *worker = data;

	title_of_thread(&worker->title);
	(void)worker_loop_run(worker->plugin, worker->board, worker->fd, 0);
	return thread_worker_free(worker);
}

/* NULL, with errno set. */
static struct thread_worker *thread_worker_new(const struct plugin *plugin, const struct title *title, const int *fds)
{
	struct thread_worker *worker = calloc(1, sizeof *worker);

	if (!worker)
		return NULL;
	worker->plugin = plugin;
	worker->title = *title;
	worker->board = mmap(NULL, sizeof *worker->board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);
	worker->fd = fcntl(fds[FORK_CHANNEL], F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
	if (worker->fd >= 0 && worker->board != MAP_FAILED)
		return worker;
	const int error = errno;
	worker = thread_worker_free(worker);
	errno = error;
	return worker;
}

/* 0 or a negative errno. */
static int begin(struct thread_worker *worker)
{
	pthread_attr_t attributes;
	pthread_t id;

	if (pthread_attr_init(&attributes) != 0)
		return -ENOMEM;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	const int r = -pthread_create(&id, &attributes, run, worker);
	(void)pthread_attr_destroy(&attributes);
	return r;
}

int thread_worker_start(const struct plugin *plugin, const struct title *title, const int *fds)
{
	struct thread_worker *worker = thread_worker_new(plugin, title, fds);

	if (!worker)
		return -errno;
	const int r = begin(worker);
	if (r < 0)
		(void)thread_worker_free(worker);
	return r;
}
