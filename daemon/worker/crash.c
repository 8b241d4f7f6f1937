/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { CRASH_MAX = 4096 }; /* instances in one process */

/* Static, since a signal handler gets no argument. */
static _Atomic(struct reply *) armed[CRASH_MAX];
static _Thread_local struct reply *own;

static atomic_bool cut_short; /* the process ends while a method runs */

#ifdef __SANITIZE_ADDRESS__
/* <sanitizer/lsan_interface.h>: what a method's exit() leaves behind is no leak. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return atomic_load(&cut_short);
}
#endif

static void flush_all(void)
{
	for (size_t i = 0; i < CRASH_MAX; i++) {
		struct reply *reply = atomic_exchange(&armed[i], NULL);
		if (!reply)
			continue;
		atomic_store(&cut_short, true);
		if (reply == own)
			reply_flush_dying(reply);
		else
			reply_nudge_dying(reply); /* its thread may be writing */
	}
}

static void on_crash(int signal)
{
	flush_all();
	(void)raise(signal); /* SA_RESETHAND: now with its default action, once this handler returns */
}

/* In a child that a method has forked: closes the channel, which must end with the worker. */
static void on_fork(void)
{
	for (size_t i = 0; i < CRASH_MAX; i++) {
		struct reply *reply = atomic_exchange(&armed[i], NULL);
		if (reply)
			reply_abandon(reply);
	}
	own = NULL;
	atomic_store(&cut_short, true);
}

static void arm_signals(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE, SIGABRT, SIGTRAP,
				      SIGSYS,  SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	static atomic_flag done = ATOMIC_FLAG_INIT;
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};

	if (atomic_flag_test_and_set(&done))
		return;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		(void)sigaction(signals[i], &action, NULL);
	(void)atexit(flush_all);
	(void)pthread_atfork(NULL, NULL, on_fork); /* fails without memory: then children keep the channel open */
}

void crash_arm(struct reply *reply)
{
	enum { STACK = 64 << 10 };
	const stack_t alternate = {.ss_sp = malloc(STACK), .ss_size = STACK}; /* the method's own stack may have overflowed */

	own = reply;
	for (size_t i = 0; i < CRASH_MAX; i++) {
		struct reply *free_place = NULL;
		if (atomic_compare_exchange_strong(&armed[i], &free_place, reply))
			break;
	}
	if (alternate.ss_sp)
		(void)sigaltstack(&alternate, NULL);
	arm_signals();
}

void crash_disarm(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};
	stack_t alternate;

	for (size_t i = 0; i < CRASH_MAX; i++) {
		struct reply *expected = own;
		if (own && atomic_compare_exchange_strong(&armed[i], &expected, NULL))
			break;
	}
	own = NULL;
	if (sigaltstack(&none, &alternate) == 0 && !(alternate.ss_flags & SS_DISABLE))
		free(alternate.ss_sp);
}
