/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/awake.h"

#include "proto/clock.h"

#include <sched.h>

#define AWAKE   50000 /* nanoseconds */
#define CROWDED 5000  /* nanoseconds that others have used the CPU for when it was yielded to them: it is needed elsewhere */

enum { CALM = 50 /* waits, after one that has polled in vain */, CALM_CROWDED = 10 };

static bool may_poll(struct awake *awake)
{
	cpu_set_t set;

	if (!awake->known) {
		awake->known = true;
		awake->may = sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1;
	}
	return awake->may;
}

static int poll_for_a_moment(struct awake *awake, struct pollfd *polled, nfds_t count)
{
	int64_t now = clock_now();
	const int64_t until = now + AWAKE;

	while (now < until) {
		const int ready = poll(polled, count, 0);
		if (ready != 0)
			return ready;
		const int64_t before = now;
		(void)sched_yield();
		now = clock_now();
		if (now - before > CROWDED) {
			awake->calm = CALM_CROWDED;
			return 0;
		}
	}
	awake->calm = CALM;
	return 0;
}

int awake_poll(struct awake *awake, struct pollfd *polled, nfds_t count)
{
	if (awake->calm > 0 || !may_poll(awake)) {
		awake->calm -= awake->calm > 0;
		return 0;
	}
	return poll_for_a_moment(awake, polled, count);
}
