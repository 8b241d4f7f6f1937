/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers: a binary heap of deadlines on a clock that the owner moves: real in the daemon, virtual in the simulation.
 * A timer is embedded in the thing that it is for; its callback finds the thing with container_of. timer_open, called once when
 * the thing is made, keeps room for the timer in the heap until timer_close: so timer_set never fails.
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

/* When the next one is due; UINT64_MAX: never. */
uint64_t timers_next(const struct timers *timers);

/* Fires, in order, what is due at `now`, and no more than `max`: the others are due still. */
void timers_run(struct timers *timers, uint64_t now, uint32_t max);

void timers_free(struct timers *timers);

#endif
