/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop: holds one thread of another process for a moment. It is seized and interrupted, which sends no signal: whatever
 * becomes of this program meanwhile, the kernel lets the thread go on when it ends.
 */
#ifndef BACKTRACE_THREAD_STOP_H
#define BACKTRACE_THREAD_STOP_H

#include <sys/types.h>

/* To be called before the first thread_stop_begin. */
void thread_stop_prepare(void);

/* Stops the thread. 0, with what thread_stop_end wants to know in *signal, or a negative errno; -ETIMEDOUT: it sits in the
 * kernel. */
int thread_stop_begin(pid_t thread, int *signal);

/* Lets it go on; a signal that it was about to get, it gets. */
void thread_stop_end(pid_t thread, int signal);

#endif
