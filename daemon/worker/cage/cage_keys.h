/* SPDX-License-Identifier: Apache-2.0 */
/* cage_keys: the cage as the supervisor's map describes it, and the words for why it can't be had. */
#ifndef WORKER_CAGE_KEYS_H
#define WORKER_CAGE_KEYS_H

#include "proto/cage.h"
#include "proto/read.h"

/* Of a number: it is not given. */
#define CAGE_UNSET INT64_MAX

/* A span of size 0 is a key that is not given. The spans lie in the map that was read. */
struct cage {
	struct span map; /* in which all other spans lie: it is kept as long as the cage */
	struct span user, group, directory, cpus;
	struct span cgroup; /* a directory */
	int64_t nice, umask;
	struct span slot_cpus, env, slot_env;
	int64_t limit_memory, limit_files, limit_processes, limit_cpu, memory_max;
	struct span read, write, own;
	int64_t network, syscalls;
	char *reason; /* where a step says why it failed */
	size_t reason_size;
};

/* 0, or -1: it is no map of a cage. */
int cage_read(struct cage *cage, struct span map);

/* Is the class kept from the processes of others? */
bool cage_confines(const struct cage *cage);

/* Says why the cage can't be had. Returns -1. */
__attribute__((format(printf, 2, 3))) int cage_fail(const struct cage *cage, const char *format, ...);

/* The text as a string: false if it doesn't fit. */
bool cage_copy(struct span text, char *string, size_t size);

#endif
