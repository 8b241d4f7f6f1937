/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_stop: stops one thread of another process for a moment. The thread is seized and interrupted, without a signal. If this
 * program ends meanwhile, the kernel lets the thread go on.
 */
#ifndef BACKTRACE_THREAD_STOP_H
#define BACKTRACE_THREAD_STOP_H

#include <sys/types.h>

/* Call this before the first thread_stop_begin. */
void thread_stop_prepare(void);

/* Stops the thread. 0, and *signal is for thread_stop_end; or a negative errno. -ETIMEDOUT: the thread does not leave the
 * kernel. */
int thread_stop_begin(pid_t thread, int *signal);

/* Lets the thread go on. It gets the signal that it was about to get. */
void thread_stop_end(pid_t thread, int signal);

#endif
