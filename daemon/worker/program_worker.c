/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/program_worker.h"

#include "daemon/worker/worker_loop.h"
#include "daemon/worker/quit.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int signal)
{
	(void)signal; /* it has ended a wait */
}

void program_workers_begin(struct program_workers *workers)
{
	const struct sigaction action = {.sa_handler = on_child};
	sigset_t child;

	groups_forget(&workers->groups);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, &workers->before.mask) < 0 ||
	    sigaction(SIGCHLD, &action, &workers->before.on_child) < 0)
		quit_memory();
}

void program_workers_end(struct program_workers *workers)
{
	groups_end_all(&workers->groups);
}

/* ---- the new worker ---- */

static void restore_signals(const struct program_workers *workers)
{
	if (sigaction(SIGCHLD, &workers->before.on_child, NULL) < 0 ||
	    sigprocmask(SIG_SETMASK, &workers->before.mask, NULL) < 0)
		quit_memory();
}

/* The worker's output goes where the program's goes. It ends with _exit: functions that the program has registered with atexit
 * shall not run in it. */
_Noreturn static void run(const struct program_workers *workers, const struct plugin *plugin, const int *fds, pid_t parent)
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);

	if (board == MAP_FAILED)
		quit_memory();
	(void)setpgid(0, 0);
	restore_signals(workers);
	for (int i = FORK_BOARD; i < FORK_FILES; i++)
		(void)close(fds[i]);
	_exit(worker_loop_run(plugin, board, fds[FORK_CHANNEL], parent) == HOST_STOPPED ? 0 : 1);
}

pid_t program_worker_start(struct program_workers *workers, const struct plugin *plugin, const struct title *title,
			   int template_channel, const int *fds)
{
	const pid_t parent = getpid(), worker = fork();

	if (worker == 0) {
		(void)close(template_channel);
		title_of_thread(title);
		run(workers, plugin, fds, parent);
	}
	if (worker < 0)
		return -errno;
	(void)setpgid(worker, worker);
	groups_add(&workers->groups, worker);
	return worker;
}

/* ---- its end ---- */

bool program_worker_wait(const struct program_workers *workers, int channel)
{
	struct pollfd input = {.fd = channel, .events = POLLIN};
	sigset_t mask = workers->before.mask;

	sigdelset(&mask, SIGCHLD);
	return ppoll(&input, 1, NULL, &mask) >= 0 || errno != EINTR;
}

pid_t program_worker_reap(struct program_workers *workers, int *status)
{
	siginfo_t ended = {0};

	if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || ended.si_pid <= 0)
		return 0;
	(void)groups_end(&workers->groups, ended.si_pid); /* while the group's number is still its own */
	(void)waitpid(ended.si_pid, status, 0);
	return ended.si_pid;
}

void program_worker_kill(pid_t pid)
{
	/* Still a child, if only a dead one: the number can't be another process's. */
	if (pid > 1 && waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)kill(pid, SIGKILL);
}
