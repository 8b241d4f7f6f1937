/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a pool with a cancel_grace, the daemon kills a worker whose method runs on although nobody waits for it. Before that the
 * method gets an exception, objpool_worker.Cancelled. A thread sees that the running call is cancelled, and sends a signal to the
 * thread that runs it, which also ends a sleep or a wait. Python's handler of that signal (host/life.py) checks on that thread
 * whether the running call is cancelled: a signal that comes too late does nothing.
 *
 * The watching thread never takes the interpreter's lock. It sleeps while there are no calls.
 */
#include "plugins/python/python.h"

#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOK_EVERY = 20000000, LOOKS_UNTIL_SLEEP = 25 };

static pthread_t worker;
static bool watches;
static _Atomic uint32_t calls;  /* begun so far; the thread sleeps on it */
static _Atomic bool asleep;
static _Atomic bool steps;      /* a step of the event loop runs, as `calls` counts them */

static void wait_for_change(uint32_t seen)
{
	(void)syscall(SYS_futex, &calls, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

/* Only the thread that runs a step of the loop knows whose code runs: it is sent the signal again and again, ever more rarely,
 * while the step lasts. `looks`: since it began. */
static bool is_long_step(uint32_t looks)
{
	return atomic_load(&steps) && looks > 0 && (looks & (looks - 1)) == 0;
}

static void *watch(void *unused)
{
	const struct timespec pause = {.tv_nsec = LOOK_EVERY};
	uint32_t seen = 0, told = 0, idle = 0, looks = 0;

	(void)unused;
	for (;;) {
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		const uint32_t now = atomic_load(&calls);
		const struct objpool_call *call = handle_running();
		if (call && now != told && call->method && objpool_cancelled(call)) {
			told = now;
			(void)pthread_kill(worker, SIGRTMAX - 1);
		}
		looks = now == seen ? looks + 1 : 0;
		if (call && is_long_step(looks))
			(void)pthread_kill(worker, SIGRTMAX - 1);
		idle = call || now != seen ? 0 : idle + 1;
		seen = now;
		if (idle < LOOKS_UNTIL_SLEEP)
			continue;
		atomic_store(&asleep, true);
		wait_for_change(seen);
		atomic_store(&asleep, false);
		idle = 0;
	}
	return NULL;
}

static int start_thread(void)
{
	sigset_t all, before;
	pthread_t thread;

	worker = pthread_self();
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	const int r = pthread_create(&thread, NULL, watch, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		return pthread_detach(thread);
	errno = r;
	(void)PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

int cancel_start(struct objpool_call *call)
{
	if (!objpool_setting(call, "cancel_grace"))
		return 0;
	PyObject *ready = host_call("worker_interruptible", "(i)", SIGRTMAX - 1);
	Py_XDECREF(ready);
	if (!ready || start_thread() < 0)
		return -1;
	watches = true;
	return 0;
}

void cancel_begin_step(void)
{
	atomic_store(&steps, true);
	cancel_begin();
}

void cancel_end_step(void)
{
	atomic_store(&steps, false);
}

void cancel_begin(void)
{
	if (!watches)
		return;
	atomic_fetch_add(&calls, 1);
	if (atomic_load(&asleep))
		(void)syscall(SYS_futex, &calls, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
