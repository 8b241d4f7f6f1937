/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin.h"

#include <dlfcn.h>
#include <stdio.h>

/* Copies a structure that the plugin may have built with fewer, or more, fields than we know. */
static void copy_known(void *to, size_t known, const void *from, size_t size)
{
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
}

static int check(const struct objpool_plugin *p, const char *path, char *fault, size_t size)
{
	if (p->abi != OBJPOOL_ABI) {
		snprintf(fault, size, "plugin %s is built for plugin ABI %u; this daemon has %d: build it again", path, p->abi,
			 OBJPOOL_ABI);
		return -1;
	}
	if (p->size < sizeof(struct objpool_plugin) || p->method_size < offsetof(struct objpool_method, reserved) ||
	    !p->classes) {
		snprintf(fault, size, "plugin %s exports a damaged objpool_plugin: fill it with OBJPOOL_PLUGIN_HEAD and .classes",
			 path);
		return -1;
	}
	return 0;
}

static int list_classes(const struct objpool_plugin *p, char *text, size_t size)
{
	size_t n = 0;
	text[0] = '\0';
	for (const struct objpool_class *const *c = p->classes; *c && n < size - 1; c++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", (*c)->name ? (*c)->name : "(no name)");
	return 0;
}

/* "*" takes what others don't; a name for it has a colon, so that the supervisor knows one when it sees it. */
static bool is_class(const struct objpool_class *class, const char *name)
{
	return class->name && (strcmp(class->name, name) == 0 || (strcmp(class->name, "*") == 0 && strchr(name, ':')));
}

static int find_class(struct plugin *plugin, const char *path, const char *name, char *fault, size_t size)
{
	char names[256];

	for (const struct objpool_class *const *c = plugin->exported->classes; *c; c++) {
		if (!is_class(*c, name))
			continue;
		copy_known(&plugin->class, sizeof plugin->class, *c, (*c)->size);
		plugin->class.name = name;
		if ((*c)->size < offsetof(struct objpool_class, list_methods) || !plugin->class.create ||
		    (!plugin->class.methods && !plugin->class.dispatch)) {
			snprintf(fault, size, "class %s of plugin %s lacks OBJPOOL_CLASS_HEAD, create, or methods", name, path);
			return -1;
		}
		return 0;
	}
	list_classes(plugin->exported, names, sizeof names);
	snprintf(fault, size, "plugin %s has no class %s; it has: %s%s", path, name, names[0] ? names : "none",
		 strcmp(names, "*") == 0 ? ", which stands for any name with a colon" : "");
	return -1;
}

struct objpool_method plugin_method(const struct plugin *plugin, uint32_t i)
{
	struct objpool_method method;
	const char *table = (const char *)plugin->class.methods;
	copy_known(&method, sizeof method, table + (size_t)i * plugin->exported->method_size, plugin->exported->method_size);
	return method;
}

static int check_methods(struct plugin *plugin, char *fault, size_t size)
{
	plugin->methods_count = 0;
	if (!plugin->class.methods)
		return 0;
	for (;; plugin->methods_count++) {
		const struct objpool_method method = plugin_method(plugin, plugin->methods_count);
		if (!method.name)
			return 0;
		if (!method.call) {
			snprintf(fault, size, "method %s of class %s has no function", method.name, plugin->class.name);
			return -1;
		}
	}
}

static int adopt(struct plugin *plugin, const char *path, const char *class_name, char *fault, size_t fault_size)
{
	if (check(plugin->exported, path, fault, fault_size) < 0 ||
	    find_class(plugin, path, class_name, fault, fault_size) < 0)
		return -1;
	return check_methods(plugin, fault, fault_size);
}

int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *fault, size_t fault_size)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		const char *why = dlerror();
		snprintf(fault, fault_size, "can't load plugin: %s", why ? why : path);
		return -1;
	}
	plugin->exported = dlsym(library, "objpool_plugin");
	if (!plugin->exported) {
		snprintf(fault, fault_size, "%s is a shared object, but no plugin: it exports no objpool_plugin", path);
		return -1;
	}
	return adopt(plugin, path, class_name, fault, fault_size);
}

int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *fault, size_t fault_size)
{
	plugin->exported = linked;
	return adopt(plugin, linked->name, class_name, fault, fault_size);
}
