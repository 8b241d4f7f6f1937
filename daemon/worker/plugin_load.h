/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_load: a loaded shared object, checked, and the class that the pool wants of it. */
#ifndef WORKER_PLUGIN_LOAD_H
#define WORKER_PLUGIN_LOAD_H

#include <objpool/plugin.h>

struct plugin {
	const struct objpool_plugin *exported;
	struct objpool_class class; /* a copy: what the plugin is too old to have is zero */
	uint32_t methods_count;
	msgpack_object settings; /* a map: the pool's, for objpool_setting */
};

/* Loads `path` and finds `class_name`, which stays in use, in it. 0, or -1 with a sentence in `reason`. */
int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size);

/* The same with a plugin that is part of this program. */
int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *reason,
		size_t reason_size);

/* The class's i-th method, as a copy with the fields that the plugin lacks zero. */
struct objpool_method plugin_method(const struct plugin *plugin, uint32_t i);

#endif
