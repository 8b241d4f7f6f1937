/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/forked_worker.h"

#include "daemon/worker/worker_loop.h"
#include "daemon/worker/quit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void enter_cage(const struct template *template, uint32_t slot, int cgroup)
{
	char reason[512];

	if (cgroup >= 0 && write(cgroup, "0", 1) != 1) {
		perror("memory_max: the worker can't enter its cgroup");
		_exit(1);
	}
	if (!template->cage || template->cage->enter_slot(slot, reason, sizeof reason) == 0)
		return;
	(void)fprintf(stderr, "%s\n", reason);
	_exit(1);
}

/* In the new worker: moves its descriptors to their numbers, which closes the template's, and runs. */
_Noreturn static void run(const struct template *template, const struct title *title, const int *fds)
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);

	(void)setpgid(0, 0);
	title_of_worker(title);
	if (board == MAP_FAILED || dup3(fds[FORK_CHANNEL], CHANNEL_FD, O_CLOEXEC) < 0 ||
	    dup2(fds[FORK_OUTPUT], STDOUT_FILENO) < 0 || dup2(fds[FORK_ERRORS], STDERR_FILENO) < 0)
		quit_memory();
	enter_cage(template, title->slot, fds[FORK_CGROUP]);
	for (int i = 0; i < FORK_FILES; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (worker_loop_run(&template->plugin, board, CHANNEL_FD, 0) == HOST_STOPPED)
		exit(0); /* runs what the plugin has asked for an orderly end (atexit) */
	_exit(1); /* the constructor failed; if the supervisor has gone, nobody looks */
}

/* In the process between: forks the worker, writes its pid, or a negative errno, to the pipe, and ends. */
_Noreturn static void fork_again(const struct template *template, const struct title *title, const int *fds, int pipe_end)
{
	pid_t worker = fork();

	if (worker == 0)
		run(template, title, fds);
	if (worker < 0)
		worker = -errno;
	else
		(void)setpgid(worker, worker); /* before the supervisor hears of it: it kills the template's group */
	_exit(write(pipe_end, &worker, sizeof worker) == sizeof worker ? 0 : 1);
}

/*
 * The worker must be the supervisor's child: the supervisor reads its exit status, and it ends with the supervisor, not with the
 * template. So it is forked twice: when the process between ends, the supervisor, which is the subreaper, adopts the worker.
 */
pid_t forked_worker_start(const struct template *template, const struct title *title, const int *fds)
{
	pid_t worker = -1;
	int pipe_ends[2];

	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return -errno;
	const pid_t between = fork();
	if (between == 0)
		fork_again(template, title, fds, pipe_ends[1]);
	const int error = errno;
	(void)close(pipe_ends[1]);
	if (between > 0 && read(pipe_ends[0], &worker, sizeof worker) != sizeof worker)
		worker = -EAGAIN;
	(void)close(pipe_ends[0]);
	if (between < 0)
		return -error;
	while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	return worker; /* adopted by now: a child is handed on before its parent can be waited for */
}
