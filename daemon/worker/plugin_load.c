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
#define REACHES(size, type, member) ((size) >= offsetof(type, member) + sizeof ((type *)NULL)->member)

/* Writes the reason to `reason`. Returns -1. */
__attribute__((format(printf, 3, 4)))
static int refuse(char *reason, size_t size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(reason, size, format, list);
	va_end(list);
	return -1;
}

static int check(const struct objpool_plugin *p, const char *path, char *reason, size_t size)
{
	if (p->abi == 0)
		return refuse(reason, size, "plugin %s: objpool_plugin has no ABI number: it must begin with OBJPOOL_PLUGIN_HEAD",
			      path);
	if (p->abi != OBJPOOL_ABI)
		return refuse(reason, size, "plugin %s is built for plugin ABI %u; this daemon has %d: build it again", path,
			      p->abi, OBJPOOL_ABI);
	if (!REACHES(p->size, struct objpool_plugin, classes))
		return refuse(reason, size,
			      "plugin %s: objpool_plugin says that it has %u bytes; with .classes it has %zu: fill it with "
			      "OBJPOOL_PLUGIN_HEAD",
			      path, p->size, sizeof *p);
	if (!REACHES(p->method_size, struct objpool_method, call))
		return refuse(reason, size,
			      "plugin %s: objpool_plugin says that a method has %u bytes; up to .call it has %zu: fill it with "
			      "OBJPOOL_PLUGIN_HEAD",
			      path, p->method_size, offsetof(struct objpool_method, call) + sizeof(objpool_method_fn *));
	if (!p->classes)
		return refuse(reason, size, "plugin %s: objpool_plugin has no .classes", path);
	return 0;
}

/* The class's name, also when its `size` is missing or too small; NULL: it has none. */
static const char *name_of(const struct objpool_class *class)
{
	return class->size == 0 || REACHES(class->size, struct objpool_class, name) ? class->name : NULL;
}

static int check_class(const struct plugin *plugin, uint32_t class_size, const char *path, char *reason, size_t size)
{
	const struct objpool_class *class = &plugin->class;

	if (class_size == 0)
		return refuse(reason, size, "class %s of plugin %s has no size: it must begin with OBJPOOL_CLASS_HEAD",
			      class->name, path);
	if (!REACHES(class_size, struct objpool_class, create))
		return refuse(reason, size,
			      "class %s of plugin %s says that it has %u bytes; up to .create it has %zu: begin it with "
			      "OBJPOOL_CLASS_HEAD",
			      class->name, path, class_size, offsetof(struct objpool_class, create) + sizeof class->create);
	if (!class->create)
		return refuse(reason, size, "class %s of plugin %s has no constructor: set .create", class->name, path);
	if (!class->methods && !class->dispatch)
		return refuse(reason, size, "class %s of plugin %s has no methods: set .methods or .dispatch", class->name, path);
	return 0;
}

static int list_classes(const struct objpool_plugin *p, char *text, size_t size)
{
	size_t n = 0;
	text[0] = '\0';
	for (const struct objpool_class *const *c = p->classes; *c && n < size - 1; c++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", name_of(*c) ? name_of(*c) : "(no name)");
	return 0;
}

/* The class "*" stands for all names with a colon that no other class has. */
static bool is_class(const struct objpool_class *class, const char *name)
{
	const char *own = name_of(class);
	return own && (strcmp(own, name) == 0 || (strcmp(own, "*") == 0 && strchr(name, ':')));
}

static int find_class(struct plugin *plugin, const char *path, const char *name, char *reason, size_t size)
{
	char names[256];

	for (const struct objpool_class *const *c = plugin->exported->classes; *c; c++) {
		if (!is_class(*c, name))
			continue;
		copy_known(&plugin->class, sizeof plugin->class, *c, (*c)->size);
		plugin->class.name = name;
		plugin->has_types = REACHES((*c)->size, struct objpool_class, types);
		return check_class(plugin, (*c)->size, path, reason, size);
	}
	list_classes(plugin->exported, names, sizeof names);
	snprintf(reason, size, "plugin %s has no class %s; it has: %s%s", path, name, names[0] ? names : "none",
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

static int check_methods(struct plugin *plugin, char *reason, size_t size)
{
	plugin->methods_count = 0;
	if (!plugin->class.methods)
		return 0;
	for (;; plugin->methods_count++) {
		const struct objpool_method method = plugin_method(plugin, plugin->methods_count);
		if (!method.name)
			return 0;
		if (!method.call && !method.many) {
			snprintf(reason, size, "method %s of class %s has no function", method.name, plugin->class.name);
			return -1;
		}
	}
}

static int adopt(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size)
{
	if (check(plugin->exported, path, reason, reason_size) < 0 ||
	    find_class(plugin, path, class_name, reason, reason_size) < 0)
		return -1;
	return check_methods(plugin, reason, reason_size);
}

int plugin_load(struct plugin *plugin, const char *path, const char *class_name, char *reason, size_t reason_size)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		const char *error = dlerror();
		snprintf(reason, reason_size, "can't load plugin: %s", error ? error : path);
		return -1;
	}
	plugin->exported = dlsym(library, "objpool_plugin");
	if (!plugin->exported) {
		snprintf(reason, reason_size, "%s is a shared object, but no plugin: it exports no objpool_plugin", path);
		return -1;
	}
	return adopt(plugin, path, class_name, reason, reason_size);
}

int plugin_link(struct plugin *plugin, const struct objpool_plugin *linked, const char *class_name, char *reason,
		size_t reason_size)
{
	plugin->exported = linked;
	return adopt(plugin, linked->name, class_name, reason, reason_size);
}
