/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/groups.h"

#include <signal.h>
#include <stdatomic.h>

static uint64_t bit_of(pid_t leader)
{
	return UINT64_C(1) << (leader % 64);
}

void groups_add(struct groups *groups, pid_t leader)
{
	if (leader > 1 && leader < GROUPS_PIDS)
		(void)atomic_fetch_or(&groups->bits[leader / 64], bit_of(leader));
}

void groups_end(struct groups *groups, pid_t leader)
{
	if (leader <= 1 || leader >= GROUPS_PIDS || !(atomic_load(&groups->bits[leader / 64]) & bit_of(leader)))
		return;
	(void)kill(-leader, SIGKILL);
	(void)atomic_fetch_and(&groups->bits[leader / 64], ~bit_of(leader));
}

void groups_forget(struct groups *groups)
{
	for (size_t i = 0; i < GROUPS_PIDS / 64; i++)
		if (atomic_load_explicit(&groups->bits[i], memory_order_relaxed)) /* a page that was never used gets no memory */
			atomic_store_explicit(&groups->bits[i], 0, memory_order_relaxed);
}

void groups_end_all(struct groups *groups)
{
	for (pid_t i = 0; i < GROUPS_PIDS / 64; i++) {
		uint64_t left = atomic_load(&groups->bits[i]);
		for (; left; left &= left - 1)
			groups_end(groups, 64 * i + __builtin_ctzll(left));
	}
}
