/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cage: what confines a template and its workers, as the configuration of their pool says. The template enters the cage before it
 * loads anything of the plugin: what comes later can't leave it. Each worker then enters what is of its slot.
 *
 * All that the configuration asks for holds, or nothing is loaded: each step can fail, and says why.
 */
#ifndef WORKER_CAGE_H
#define WORKER_CAGE_H

#include "proto/read.h"

/* What a template calls. The worker image gives it to template_main; a program that offers itself as template has no cage. */
struct cage_ops {
	/* Enters the cage that the supervisor's map asks for (proto/cage.h). `map` is nil if it asks for none. 0, or -1 with the
	 * reason. */
	int (*enter)(struct span map, bool threads, char *reason, size_t size);

	/* In a new worker: enters what is of its slot. */
	int (*enter_slot)(uint32_t slot, char *reason, size_t size);
};

extern const struct cage_ops cage_ops;

#endif
