/* SPDX-License-Identifier: Apache-2.0 */
/* watch: what the class wants to be called for between methods (objpool_watch). worker_loop.c calls its `ready` then. */
#ifndef WORKER_WATCH_H
#define WORKER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct watch {
	int fd;         /* -1: none */
	uint64_t at;    /* CLOCK_MONOTONIC nanoseconds; UINT64_MAX: never */
	bool can_read;  /* the last poll has found that `fd` can be read */
};

static inline void watch_set(struct watch *watch, int fd, uint64_t at)
{
	watch->can_read = watch->can_read && fd == watch->fd;
	watch->fd = fd < 0 ? -1 : fd;
	watch->at = at ? at : UINT64_MAX;
}

static inline bool watch_is_due(const struct watch *watch, uint64_t now)
{
	return watch->can_read || watch->at <= now;
}

/* The class is about to be called. It says anew at what time it wants to be called again. */
static inline void watch_begin(struct watch *watch)
{
	watch->can_read = false;
	watch->at = UINT64_MAX;
}

#endif
