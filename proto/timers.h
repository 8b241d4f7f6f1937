/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers: a binary heap of deadlines. The owner moves the clock: it is real in the daemon, virtual in the simulation. A timer is
 * a member of the thing that it is for; its callback finds the thing with container_of. timer_open is called when the thing is
 * made. It keeps room in the heap until timer_close, so timer_set never fails.
 */
#ifndef PROTO_TIMERS_H
#define PROTO_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

struct timer {
	uint64_t at;
	size_t place; /* in the heap, from 1; 0: not set */
	void (*fire)(struct timer *timer); /* NULL: not open */
};

struct timers {
	struct timer **heap;
	size_t count, open, room;
};

/* 0 or -ENOMEM. timer_close also accepts a timer that was never opened, if it is all zeros. */
int timer_open(struct timers *timers, struct timer *timer, void (*fire)(struct timer *timer));
void timer_close(struct timers *timers, struct timer *timer);

/* Sets or moves an open timer. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t at);
void timer_clear(struct timers *timers, struct timer *timer);
static inline bool timer_is_set(const struct timer *timer)
{
	return timer->place != 0;
}

/* When the next timer is due; UINT64_MAX: none is set. */
uint64_t timers_next(const struct timers *timers);

/* Fires the timers that are due at `now`, in order, at most `max` of them. The others stay due. */
void timers_run(struct timers *timers, uint64_t now, uint32_t max);

void timers_free(struct timers *timers);

#endif
