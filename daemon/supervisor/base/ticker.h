/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticker: calls a function again and again. It is a descriptor of its own (timerfd) and not a timer of libevent: with one of
 * those, each wait of the loop sets and clears a timer in the kernel, which costs an unpipelined call more than its bookkeeping.
 */
#ifndef SUPERVISOR_TICKER_H
#define SUPERVISOR_TICKER_H

#include <event2/event.h>
#include <stdint.h>

struct ticker {
	struct event *event; /* NULL: it has not been started */
	int fd;
	void (*tick)(void *data);
	void *data;
};

/* 0, or -1. `tick` is called from the loop each `nanoseconds`; once, if the loop was busy for longer than that. */
int ticker_start(struct ticker *ticker, struct event_base *base, uint64_t nanoseconds, void (*tick)(void *data), void *data);
void ticker_stop(struct ticker *ticker);

#endif
