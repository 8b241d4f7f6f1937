/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_load: loads a plugin, checks what it exports, and finds the pool's class in it. */
#ifndef WORKER_PLUGIN_LOAD_H
#define WORKER_PLUGIN_LOAD_H

#include "daemon/worker/plugin_faults.h"

#include <objpool/plugin.h>

struct plugin {
	const struct objpool_plugin *exported;
	struct objpool_class class; /* a copy: members that the plugin is too old to have are zero */
	uint32_t methods_count;
	bool has_types;          /* it was built with a header of OBJPOOL_ABI_MINOR 2 or later: its signatures must be right */
	msgpack_object settings; /* a map: the pool's, for objpool_setting */
};

/* Loads the plugin at `path` and finds the class in it. `class_name` must stay valid. 0, or -1 with the reason. */
int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size);

/* The same for a plugin that is linked into this program. */
int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *reason,
		size_t reason_size);

/* For a check of all classes. The library, and what it exports: NULL if there is a fault. */
const struct objpool_plugin *plugin_open(const char *path, struct plugin_faults *faults);

/* Is it a plugin of this ABI, with classes? 0, or -1 with faults. */
int plugin_check_head(const struct objpool_plugin *exported, const char *path, struct plugin_faults *faults);

/* Takes the class and checks it with its methods: all that is wrong is a fault. -1: the class can't be looked at any further. */
int plugin_take_class(struct plugin *plugin, const struct objpool_class *class, const char *path, struct plugin_faults *faults);

/* The class's name, also when its `size` is missing or too small; NULL: it has none. */
const char *plugin_class_name(const struct objpool_class *class);

/* A copy of the class's i-th method. Members that the plugin is too old to have are zero. */
struct objpool_method plugin_method(const struct plugin *plugin, uint32_t i);

#endif
