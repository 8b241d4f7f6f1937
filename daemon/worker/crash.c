/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/crash.h"

#include <signal.h>
#include <stdlib.h>

static struct reply *volatile armed; /* a signal handler gets nothing else */

static void on_crash(int signal)
{
	struct reply *reply = armed;
	armed = NULL;
	if (reply)
		reply_flush_dying(reply);
	(void)raise(signal); /* SA_RESETHAND: now with its default action, once this handler returns */
}

static void on_exit_called(void)
{
	struct reply *reply = armed;
	armed = NULL;
	if (reply)
		reply_flush_dying(reply);
}

void crash_arm(struct reply *reply)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	static char stack[64 << 10]; /* the method's own may be what has overflowed */
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};

	armed = reply;
	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		(void)sigaction(signals[i], &action, NULL);
	(void)atexit(on_exit_called);
}

void crash_disarm(void)
{
	armed = NULL;
}
