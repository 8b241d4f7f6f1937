/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/signals.h"

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/log/log.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { AT_ONCE = 16 };

/* Signals that would end the process by default, and that some administrators and libraries send by habit. */
static void say_stray(const struct signalfd_siginfo *info)
{
	const char *name = sigabbrev_np((int)info->ssi_signo);

	log_say(LOG_NOTICE, "signal %u (%s) of process %u, user %u, is ignored: see objpoold(8) for what signals do",
		info->ssi_signo, name ? name : "real-time", info->ssi_pid, info->ssi_uid);
}

static const int known[] = {SIGTERM, SIGINT,    SIGHUP,  SIGUSR2, SIGCHLD, SIGUSR1,
			    SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};

/* The signals that the loop reads. SIGQUIT, and signals that tell of a bug, end the process as usual. */
static void fill_with_known(sigset_t *set)
{
	struct sigaction now;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		sigaddset(set, known[i]);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		sigaddset(set, signal);
	if (sigaction(SIGPROF, NULL, &now) == 0 && now.sa_handler != SIG_DFL)
		sigdelset(set, SIGPROF); /* a profiler has taken it before main */
}

/* ---- at the start ---- */

void signals_take(void)
{
	/* Without these signals, the system call that meets the closed pipe, the file limit or the terminal returns an error. */
	static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTOU, SIGTTIN};
	struct sigaction now;
	sigset_t set;

	for (int number = 1; number <= SIGRTMAX; number++)
		if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			(void)signal(number, SIG_DFL);
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		(void)signal(ignored[i], SIG_IGN);
	fill_with_known(&set);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
}

/* ---- in the loop ---- */

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct signalfd_siginfo infos[AT_ONCE];
	struct daemon *daemon = data;

	(void)what;
	daemon_tick(daemon);
	const ssize_t n = read(fd, infos, sizeof infos);
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *infos; i++)
		if (!daemon->ops->signal(daemon, (int)infos[i].ssi_signo))
			say_stray(&infos[i]);
}

struct event *signals_open(struct daemon *daemon)
{
	struct event *event;
	sigset_t set;

	fill_with_known(&set);
	const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return NULL;
	event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_readable, daemon);
	if (event && event_add(event, NULL) == 0)
		return event;
	if (event)
		event_free(event);
	(void)close(fd);
	return NULL;
}

void signals_close(struct event *event)
{
	if (!event)
		return;
	const int fd = event_get_fd(event);
	event_free(event);
	(void)close(fd);
}
