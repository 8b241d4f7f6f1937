/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_load: loads a plugin, checks what it exports, and finds the pool's class in it. */
#ifndef WORKER_PLUGIN_LOAD_H
#define WORKER_PLUGIN_LOAD_H

#include <objpool/plugin.h>

struct plugin {
	const struct objpool_plugin *exported;
	struct objpool_class class; /* a copy: members that the plugin is too old to have are zero */
	uint32_t methods_count;
	bool has_types;             /* it was built with a header of OBJPOOL_ABI_MINOR 2 or later: its signatures must be right */
	msgpack_object settings; /* a map: the pool's, for objpool_setting */
};

/* Loads the plugin at `path` and finds the class in it. `class_name` must stay valid. 0, or -1 with the reason. */
int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size);

/* The same for a plugin that is linked into this program. */
int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *reason,
		size_t reason_size);

/* A copy of the class's i-th method. Members that the plugin is too old to have are zero. */
struct objpool_method plugin_method(const struct plugin *plugin, uint32_t i);

#endif
