/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cage: what the supervisor and a template both know of a pool's cage. The cage travels in LOAD (proto/channel.h) as a map of the
 * keys that the configuration has given, by their names, and `own`: paths of the plugin's own code.
 */
#ifndef PROTO_CAGE_H
#define PROTO_CAGE_H

#include <sched.h>
#include <stddef.h>

enum cage_syscalls { CAGE_SYSCALLS_NONE, CAGE_SYSCALLS_DEFAULT, CAGE_SYSCALLS_STRICT };

/* Reads a list of CPUs, as in "0-3,8". 0, or -1: it is none. */
int cage_parse_cpus(const char *text, size_t size, cpu_set_t *set);

#endif
