/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/timers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void put(struct timers *timers, size_t place, struct timer *timer)
{
	timers->heap[place - 1] = timer;
	timer->place = place;
}

static void sift(struct timers *timers, size_t place, struct timer *timer)
{
	while (place > 1 && timers->heap[place / 2 - 1]->at > timer->at) {
		put(timers, place, timers->heap[place / 2 - 1]);
		place /= 2;
	}
	for (size_t child; (child = 2 * place) <= timers->count; place = child) {
		if (child < timers->count && timers->heap[child]->at < timers->heap[child - 1]->at)
			child++;
		if (timers->heap[child - 1]->at >= timer->at)
			break;
		put(timers, place, timers->heap[child - 1]);
	}
	put(timers, place, timer);
}

static int make_room(struct timers *timers)
{
	if (timers->open < timers->room)
		return 0;
	const size_t room = timers->room ? 2 * timers->room : 64;
	struct timer **heap = realloc(timers->heap, room * sizeof *heap);
	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	timers->room = room;
	return 0;
}

int timer_open(struct timers *timers, struct timer *timer, void (*fire)(struct timer *timer))
{
	if (make_room(timers) < 0)
		return -ENOMEM;
	timers->open++;
	*timer = (struct timer){.fire = fire};
	return 0;
}

void timer_close(struct timers *timers, struct timer *timer)
{
	timer_clear(timers, timer);
	timers->open -= timer->fire != NULL;
	timer->fire = NULL;
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t at)
{
	if (!timer->place) {
		assert(timers->count < timers->open);
		timer->place = ++timers->count;
		timers->heap[timer->place - 1] = timer;
	}
	timer->at = at;
	sift(timers, timer->place, timer);
}

void timer_clear(struct timers *timers, struct timer *timer)
{
	const size_t place = timer->place;

	if (!place)
		return;
	timer->place = 0;
	struct timer *last = timers->heap[--timers->count];
	if (last != timer)
		sift(timers, place, last);
}

uint64_t timers_next(const struct timers *timers)
{
	return timers->count ? timers->heap[0]->at : UINT64_MAX;
}

void timers_run(struct timers *timers, uint64_t now, uint32_t max)
{
	for (; max > 0 && timers->count && timers->heap[0]->at <= now; max--) {
		struct timer *timer = timers->heap[0];
		timer_clear(timers, timer);
		timer->fire(timer);
	}
}

void timers_free(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}
