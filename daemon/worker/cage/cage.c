/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/cage/cage.h"

#include "daemon/worker/cage/cage_steps.h"

#include <stdlib.h>

/* Of this process, and of the workers that are forked from it. */
static struct cage cage;

/* The order matters: privileges go after what needs them, and the last steps would forbid the others. */
static int (*const steps[])(const struct cage *cage) = {
	cage_enter_cgroup,    cage_set_limits, cage_set_priority,  cage_set_cpus,        cage_check_slots, cage_set_account,
	cage_set_environment, cage_set_umask,  cage_set_directory, cage_drop_privileges, cage_confine,
};

static int keep(struct span map)
{
	uint8_t *kept = malloc(map.size);

	if (!kept)
		return cage_fail(&cage, "out of memory");
	memcpy(kept, map.bytes, map.size);
	return cage_read(&cage, (struct span){.bytes = kept, .size = map.size}) < 0
		       ? cage_fail(&cage, "the cage has keys that objpool-worker does not know")
		       : 0;
}

static int filter_syscalls(const struct cage *of)
{
	const struct cage_kernel kernel = cage_kernel_of(cage_landlock_abi());

	return cage_filter_syscalls(of, &kernel);
}

static int enter(struct span map, bool threads, char *reason, size_t size)
{
	cage.reason = reason;
	cage.reason_size = size;
	if (keep(map) < 0)
		return -1;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (steps[i](&cage) < 0)
			return -1;
	if (threads && cage_confine_worker(&cage) < 0)
		return -1;
	return filter_syscalls(&cage);
}

static int enter_slot(uint32_t slot, char *reason, size_t size)
{
	cage.reason = reason;
	cage.reason_size = size;
	return cage_enter_slot(&cage, slot) < 0 ? -1 : cage_confine_worker(&cage);
}

const struct cage_ops cage_ops = {.enter = enter, .enter_slot = enter_slot};
