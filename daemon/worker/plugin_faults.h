/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_faults: what is wrong with a plugin, a sentence for each fault. Who loads the plugin keeps the first; a check of the
 * plugin passes on all of them. */
#ifndef WORKER_PLUGIN_FAULTS_H
#define WORKER_PLUGIN_FAULTS_H

#include "proto/channel.h"

#include <stddef.h>
#include <stdint.h>

struct plugin_faults {
	void (*say)(struct plugin_faults *faults, enum fault_kind kind, const char *text);
	uint32_t count; /* errors so far */
};

/* Says that something is wrong, of that kind. Returns -1. */
int plugin_fault(struct plugin_faults *faults, enum fault_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Keeps the first error in `reason`. */
struct plugin_first_fault {
	struct plugin_faults faults;
	char *reason;
	size_t size;
};

struct plugin_first_fault plugin_first_fault(char *reason, size_t size);

#endif
