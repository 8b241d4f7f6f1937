/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin_load.h"

#include <dlfcn.h>
#include <stdio.h>

/* Copies a structure that the plugin may have built with fewer, or more, fields than we know. */
static void copy_known(void *to, size_t known, const void *from, size_t size)
{
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
}

/* Does a structure of `size` bytes have this member? */
#define REACHES(size, type, member) ((size) >= offsetof(type, member) + sizeof((type *)NULL)->member)

int plugin_check_head(const struct objpool_plugin *p, const char *path, struct plugin_faults *faults)
{
	if (p->abi == 0)
		return plugin_fault(faults, FAULT_ERROR,
				    "plugin %s: objpool_plugin has no ABI number: it must begin with OBJPOOL_PLUGIN_HEAD", path);
	if (p->abi != OBJPOOL_ABI)
		return plugin_fault(faults, FAULT_ERROR,
				    "plugin %s is built for plugin ABI %u; this daemon has %d: build it again", path, p->abi,
				    OBJPOOL_ABI);
	if (!REACHES(p->size, struct objpool_plugin, classes))
		return plugin_fault(faults, FAULT_ERROR,
				    "plugin %s: objpool_plugin says that it has %u bytes; with .classes it has %zu: fill it with "
				    "OBJPOOL_PLUGIN_HEAD",
				    path, p->size, sizeof *p);
	if (!REACHES(p->method_size, struct objpool_method, call))
		return plugin_fault(
			faults, FAULT_ERROR,
			"plugin %s: objpool_plugin says that a method has %u bytes; up to .call it has %zu: fill it with "
			"OBJPOOL_PLUGIN_HEAD",
			path, p->method_size, offsetof(struct objpool_method, call) + sizeof(objpool_method_fn *));
	if (!p->classes)
		return plugin_fault(faults, FAULT_ERROR, "plugin %s: objpool_plugin has no .classes", path);
	return 0;
}

const char *plugin_class_name(const struct objpool_class *class)
{
	return class->size == 0 || REACHES(class->size, struct objpool_class, name) ? class->name : NULL;
}

/* -1: it has no members beyond its name that could be looked at. */
static int check_class(const struct plugin *plugin, uint32_t class_size, const char *path, struct plugin_faults *faults)
{
	const struct objpool_class *class = &plugin->class;

	if (class_size == 0)
		return plugin_fault(faults, FAULT_ERROR,
				    "class %s of plugin %s has no size: it must begin with OBJPOOL_CLASS_HEAD", class->name,
				    path);
	if (!REACHES(class_size, struct objpool_class, create))
		return plugin_fault(faults, FAULT_ERROR,
				    "class %s of plugin %s says that it has %u bytes; up to .create it has %zu: begin it with "
				    "OBJPOOL_CLASS_HEAD",
				    class->name, path, class_size, offsetof(struct objpool_class, create) + sizeof class->create);
	if (!class->create)
		(void)plugin_fault(faults, FAULT_ERROR, "class %s of plugin %s has no constructor: set .create", class->name,
				   path);
	if (!class->methods && !class->dispatch)
		(void)plugin_fault(faults, FAULT_ERROR, "class %s of plugin %s has no methods: set .methods or .dispatch",
				   class->name, path);
	return 0;
}

static int list_classes(const struct objpool_plugin *p, char *text, size_t size)
{
	size_t n = 0;
	text[0] = '\0';
	for (const struct objpool_class *const *c = p->classes; *c && n < size - 1; c++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "",
				      plugin_class_name(*c) ? plugin_class_name(*c) : "(no name)");
	return 0;
}

/* The class "*" stands for all names with a colon that no other class has. */
static bool is_class(const struct objpool_class *class, const char *name)
{
	const char *own = plugin_class_name(class);
	return own && (strcmp(own, name) == 0 || (strcmp(own, "*") == 0 && strchr(name, ':')));
}

struct objpool_method plugin_method(const struct plugin *plugin, uint32_t i)
{
	struct objpool_method method;
	const char *table = (const char *)plugin->class.methods;
	copy_known(&method, sizeof method, table + (size_t)i * plugin->exported->method_size, plugin->exported->method_size);
	return method;
}

static void check_methods(struct plugin *plugin, struct plugin_faults *faults)
{
	plugin->methods_count = 0;
	if (!plugin->class.methods)
		return;
	for (;; plugin->methods_count++) {
		const struct objpool_method method = plugin_method(plugin, plugin->methods_count);
		if (!method.name)
			return;
		if (!method.call && !method.many)
			(void)plugin_fault(faults, FAULT_ERROR, "method %s of class %s has no function", method.name,
					   plugin->class.name);
	}
}

int plugin_take_class(struct plugin *plugin, const struct objpool_class *class, const char *path, struct plugin_faults *faults)
{
	copy_known(&plugin->class, sizeof plugin->class, class, class->size);
	plugin->class.name = plugin_class_name(class);
	plugin->has_types = REACHES(class->size, struct objpool_class, types);
	if (check_class(plugin, class->size, path, faults) < 0)
		return -1;
	check_methods(plugin, faults);
	return 0;
}

static int find_class(struct plugin *plugin, const char *path, const char *name, struct plugin_faults *faults)
{
	char names[256];

	for (const struct objpool_class *const *c = plugin->exported->classes; *c; c++) {
		if (!is_class(*c, name))
			continue;
		(void)plugin_take_class(plugin, *c, path, faults);
		plugin->class.name = name;
		return faults->count > 0 ? -1 : 0;
	}
	list_classes(plugin->exported, names, sizeof names);
	return plugin_fault(faults, FAULT_ERROR, "plugin %s has no class %s; it has: %s%s", path, name, names[0] ? names : "none",
			    strcmp(names, "*") == 0 ? ", which stands for any name with a colon" : "");
}

static int adopt(struct plugin *plugin, const char *path, const char *class_name, struct plugin_faults *faults)
{
	return plugin_check_head(plugin->exported, path, faults) < 0 || find_class(plugin, path, class_name, faults) < 0 ? -1 : 0;
}

const struct objpool_plugin *plugin_open(const char *path, struct plugin_faults *faults)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct objpool_plugin *exported = library ? dlsym(library, "objpool_plugin") : NULL;

	if (!library) {
		const char *error = dlerror();
		(void)plugin_fault(faults, FAULT_ERROR, "can't load plugin: %s", error ? error : path);
	} else if (!exported) {
		(void)plugin_fault(faults, FAULT_ERROR, "%s is a shared object, but no plugin: it exports no objpool_plugin",
				   path);
	}
	return exported;
}

int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size)
{
	struct plugin_first_fault first = plugin_first_fault(reason, reason_size);

	plugin->exported = plugin_open(path, &first.faults);
	return plugin->exported ? adopt(plugin, path, class_name, &first.faults) : -1;
}

int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *reason,
		size_t reason_size)
{
	struct plugin_first_fault first = plugin_first_fault(reason, reason_size);

	plugin->exported = linked;
	return adopt(plugin, linked->name, class_name, &first.faults);
}
