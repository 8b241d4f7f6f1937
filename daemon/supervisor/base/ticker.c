/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/ticker.h"

#include <sys/timerfd.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	const struct ticker *ticker = data;
	uint64_t times;

	(void)what;
	if (read(fd, &times, sizeof times) == sizeof times)
		ticker->tick(ticker->data);
}

static int open_timer(uint64_t nanoseconds)
{
	const struct timespec each = {.tv_sec = (time_t)(nanoseconds / SECOND_NS), .tv_nsec = (long)(nanoseconds % SECOND_NS)};
	const struct itimerspec timer = {.it_value = each, .it_interval = each};
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd >= 0 && timerfd_settime(fd, 0, &timer, NULL) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int ticker_start(struct ticker *ticker, struct event_base *base, uint64_t nanoseconds, void (*tick)(void *data), void *data)
{
	const int fd = open_timer(nanoseconds);
	if (fd < 0)
		return -1;
	*ticker = (struct ticker){.fd = fd, .tick = tick, .data = data};
	ticker->event = event_new(base, fd, EV_READ | EV_PERSIST, on_tick, ticker);
	if (!ticker->event) {
		(void)close(fd);
		return -1;
	}
	if (event_add(ticker->event, NULL) == 0)
		return 0;
	ticker_stop(ticker);
	return -1;
}

void ticker_stop(struct ticker *ticker)
{
	if (!ticker->event)
		return;
	event_free(ticker->event);
	(void)close(ticker->fd);
	ticker->event = NULL;
}
