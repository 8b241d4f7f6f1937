/* SPDX-License-Identifier: Apache-2.0 */
/*
 * title: what ps, top and pgrep show of a template and of its workers. Each process has two texts: its command line, which may
 * be long, and its name, of 15 bytes at most, which each thread has for itself.
 *
 *   objpool: template of sim        sim:template
 *   objpool: threads of sim         sim:template    with isolation = thread; its threads are sim:0, sim:1, ...
 *   objpool: sim slot 2 gen 5       sim:2
 */
#ifndef WORKER_TITLE_H
#define WORKER_TITLE_H

#include <stdbool.h>
#include <stdint.h>

enum { TITLE_NAME = 16 /* bytes of a name, with its '\0': the kernel keeps no more */ };

/* Who a worker is. */
struct title {
	const char *pool;
	uint32_t slot;
	uint64_t generation;
};

/* Finds where the kernel reads the process's command line. To be called in a process that was started for a pool, before a cage
 * may hide /proc, and once: forks know it, too. Where it was not called, or failed, the command line stays. */
void title_begin(void);

/* The process is a template from now on. */
void title_of_template(const char *pool, bool threads);

/* The process is this worker from now on. */
void title_of_worker(const struct title *title);

/* The calling thread is this worker from now on. Its process keeps its command line. */
void title_of_thread(const struct title *title);

#endif
