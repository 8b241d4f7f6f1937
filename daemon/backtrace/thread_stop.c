/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backtrace/thread_stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static const struct timespec patience = {.tv_nsec = 500000000};

static void fill_with_sigchld(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
}

void thread_stop_prepare(void)
{
	sigset_t set;
	fill_with_sigchld(&set);
	(void)signal(SIGCHLD, SIG_DFL); /* the parent may have ignored it: then the kernel would not send it */
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* sigtimedwait takes it */
}

/* Sets *signal to the signal that the thread was about to take; 0: it has stopped because it was asked to. */
static int on_stopped(int status, int *signal)
{
	if (!WIFSTOPPED(status))
		return -ESRCH;
	*signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
	return 0;
}

static int await_stop(pid_t thread, int *signal)
{
	sigset_t set;
	int status;

	fill_with_sigchld(&set);
	for (;;) {
		const pid_t pid = waitpid(thread, &status, __WALL | WNOHANG);
		if (pid != 0)
			return pid < 0 ? -errno : on_stopped(status, signal);
		if (sigtimedwait(&set, NULL, &patience) < 0 && errno == EAGAIN)
			return -ETIMEDOUT;
	}
}

int thread_stop_begin(pid_t thread, int *signal)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) < 0)
		return -errno;
	return await_stop(thread, signal);
}

void thread_stop_end(pid_t thread, int signal)
{
	(void)ptrace(PTRACE_DETACH, thread, NULL, (void *)(long)signal);
}
