/* SPDX-License-Identifier: Apache-2.0 */
/*
 * awake: to be woken on a CPU that sleeps takes longer than the rest of a short call. So a worker that has just answered on a
 * direct channel polls for a moment before it sleeps, as long as requests come that fast. It yields the CPU to others between.
 */
#ifndef WORKER_AWAKE_H
#define WORKER_AWAKE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct awake {
	bool known, may; /* there is a CPU for others while this thread polls */
	uint32_t calm;   /* so many of the next waits sleep at once */
};

/* As poll, for a moment. 0: nothing has come meanwhile, or the wait should sleep at once. */
int awake_poll(struct awake *awake, struct pollfd *polled, nfds_t count);

#endif
