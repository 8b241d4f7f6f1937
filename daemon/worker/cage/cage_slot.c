/* SPDX-License-Identifier: Apache-2.0 */
/* cage_slot: what slots have of their own. A slot beyond the array has nothing: its pool was made larger at run time. */
#include "daemon/worker/cage/cage_steps.h"

/* The item of that slot. False: there is none. */
static bool item_of(struct span array, uint32_t slot, struct span *item)
{
	struct reader reader = reader_of(array);
	uint32_t n;

	if (array.size == 0 || read_array(&reader, &n) < 0 || slot >= n)
		return false;
	for (uint32_t i = 0; i <= slot; i++)
		if (read_value(&reader, item) < 0)
			return false;
	return true;
}

static int apply_cpus(const struct cage *cage, struct span item)
{
	struct reader reader = reader_of(item);
	struct span text;

	return read_text(&reader, &text) < 0 ? cage_fail(cage, "slot_cpus has no list of CPUs")
					     : cage_apply_cpus(cage, "slot_cpus", text);
}

int cage_check_slots(const struct cage *cage)
{
	struct span item;
	cpu_set_t before;
	int r = 0;

	if (cage->slot_cpus.size == 0)
		return 0;
	if (sched_getaffinity(0, sizeof before, &before) < 0)
		return cage_fail(cage, "slot_cpus: it can't be found which CPUs there are");
	for (uint32_t slot = 0; r == 0 && item_of(cage->slot_cpus, slot, &item); slot++)
		r = apply_cpus(cage, item);
	return sched_setaffinity(0, sizeof before, &before) < 0 && r == 0 ? cage_fail(cage, "slot_cpus could not be undone") : r;
}

int cage_enter_slot(const struct cage *cage, uint32_t slot)
{
	struct span item;

	if (item_of(cage->slot_env, slot, &item) && cage_apply_variables(cage, item) < 0)
		return -1;
	return item_of(cage->slot_cpus, slot, &item) ? apply_cpus(cage, item) : 0;
}
