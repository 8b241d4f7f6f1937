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

bool groups_end(struct groups *groups, pid_t leader)
{
	if (leader <= 1 || leader >= GROUPS_PIDS || !(atomic_load(&groups->bits[leader / 64]) & bit_of(leader)))
		return false;
	(void)kill(-leader, SIGKILL);
	(void)atomic_fetch_and(&groups->bits[leader / 64], ~bit_of(leader));
	return true;
}

void groups_forget(struct groups *groups)
{
	for (size_t i = 0; i < GROUPS_PIDS / 64; i++)
		if (atomic_load_explicit(&groups->bits[i], memory_order_relaxed)) /* a page that was never used gets no memory */
			atomic_store_explicit(&groups->bits[i], 0, memory_order_relaxed);
}

pid_t groups_next(const struct groups *groups, pid_t from)
{
	for (pid_t i = from / 64; i < GROUPS_PIDS / 64; i++) {
		uint64_t left = atomic_load_explicit(&groups->bits[i], memory_order_relaxed);
		if (i == from / 64)
			left &= ~UINT64_C(0) << (from % 64);
		if (left)
			return 64 * i + __builtin_ctzll(left);
	}
	return 0;
}

void groups_end_all(struct groups *groups)
{
	for (pid_t leader = 0; (leader = groups_next(groups, leader + 1)) > 0;)
		(void)groups_end(groups, leader);
}
