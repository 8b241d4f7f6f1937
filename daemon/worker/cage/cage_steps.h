/* SPDX-License-Identifier: Apache-2.0 */
/* cage_steps: the steps into a cage, in their order. Each does nothing if the cage doesn't ask for it. 0, or -1 with the reason. */
#ifndef WORKER_CAGE_STEPS_H
#define WORKER_CAGE_STEPS_H

#include "daemon/worker/cage/cage_keys.h"

/* cage_process.c: memory, resources, environment, place. */
int cage_enter_cgroup(const struct cage *cage);
int cage_set_limits(const struct cage *cage);
int cage_set_priority(const struct cage *cage);
int cage_set_cpus(const struct cage *cage);
int cage_set_environment(const struct cage *cage);
int cage_set_umask(const struct cage *cage);
int cage_set_directory(const struct cage *cage);

/* cage_slot.c: the same of one slot. cage_check_slots tries the CPUs of all slots. */
int cage_check_slots(const struct cage *cage);
int cage_enter_slot(const struct cage *cage, uint32_t slot);

/* cage_account.c: user, group, privileges. */
int cage_set_account(const struct cage *cage);
int cage_drop_privileges(const struct cage *cage);

/* cage_landlock.c: files, and the processes of others. */
int cage_confine(const struct cage *cage);
int cage_confine_worker(const struct cage *cage);

/* cage_syscalls.c: system calls; and what this kernel's Landlock does not hold back. */
struct cage_kernel {
	bool scopes_signals, guards_truncation;
};
struct cage_kernel cage_kernel_of(int abi);
int cage_filter_syscalls(const struct cage *cage, const struct cage_kernel *kernel);

/* Which version of Landlock the kernel has; 0 or less: none. */
int cage_landlock_abi(void);

/* What the first two have in common with those of a slot: `key` is for the reason. */
int cage_apply_cpus(const struct cage *cage, const char *key, struct span text);
int cage_apply_variables(const struct cage *cage, struct span map);

#endif
