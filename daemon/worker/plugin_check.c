/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin_check.h"

#include "daemon/worker/class_types.h"
#include "daemon/worker/plugin_needs.h"
#include "proto/plural.h"

#include <string.h>
#include <unistd.h>

/* Classes of a plugin that are looked at, and methods that are compared: a table without an end would go on. */
enum { CLASSES_MAX = 1000, METHODS_MAX = 10000 };

/* Faults go to the supervisor. */
struct told {
	struct plugin_faults faults;
	struct template *template;
};

static void tell(struct plugin_faults *faults, enum fault_kind kind, const char *text)
{
	struct told *told = (struct told *)faults; /* its first member */
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = template_begin_packet(&packet, 3, FROM_FAULT);

	msgpack_pack_int(&packer, (int)kind);
	template_pack_text(&packer, text);
	template_send(told->template, &packet);
	objpool_buffer_free(&packet);
}

/* ---- a class ---- */

static void check_method(const struct plugin *plugin, const struct objpool_method *method, struct plugin_faults *faults)
{
	const char *class = plugin->class.name;

	if (method->max_args >= 0 && method->min_args > method->max_args)
		(void)plugin_fault(faults, FAULT_ERROR,
				   "method %s of class %s has min_args %d, which is more than its max_args %d", method->name,
				   class, method->min_args, method->max_args);
	if (!method->signature || !method->signature[0])
		(void)plugin_fault(faults, FAULT_WARNING,
				   "method %s of class %s has no signature: clients are told that it takes anything",
				   method->name, class);
	if (!method->doc || !method->doc[0])
		(void)plugin_fault(faults, FAULT_WARNING, "method %s of class %s has no doc", method->name, class);
}

static bool is_first_method(const struct plugin *plugin, uint32_t at, const char *name)
{
	for (uint32_t i = 0; i < at; i++)
		if (strcmp(plugin_method(plugin, i).name, name) == 0)
			return false;
	return true;
}

static void check_methods(const struct plugin *plugin, struct plugin_faults *faults)
{
	for (uint32_t i = 0; i < plugin->methods_count && i < METHODS_MAX; i++) {
		const struct objpool_method method = plugin_method(plugin, i);
		if (!is_first_method(plugin, i, method.name))
			(void)plugin_fault(faults, FAULT_ERROR, "class %s has two methods %s", plugin->class.name, method.name);
		check_method(plugin, &method, faults);
	}
}

static void check_hooks(const struct objpool_class *class, struct plugin_faults *faults)
{
	if (!class->snapshot != !class->restore)
		(void)plugin_fault(faults, FAULT_ERROR, "class %s has only one of .snapshot and .restore: it needs both, or none",
				   class->name);
	if (!class->doc || !class->doc[0])
		(void)plugin_fault(faults, FAULT_WARNING, "class %s has no doc", class->name);
}

static void check_class(struct plugin *plugin, const struct objpool_class *class, const char *path, struct plugin_faults *faults)
{
	const uint32_t before = faults->count;

	if (plugin_take_class(plugin, class, path, faults) < 0)
		return;
	if (class->size > sizeof *class)
		(void)plugin_fault(
			faults, FAULT_WARNING,
			"class %s was built with a newer plugin.h than this objpool's: it does not see all of the class",
			plugin->class.name);
	check_hooks(&plugin->class, faults);
	check_methods(plugin, faults);
	class_types_faults(plugin, faults);
	const char *signature = plugin->class.signature ? plugin->class.signature : "";
	if (faults->count == before && plugin->class.methods)
		(void)plugin_fault(faults, FAULT_NOTE, "class %s%s: %u method%s", plugin->class.name, signature,
				   plugin->methods_count, plural(plugin->methods_count));
	else if (faults->count == before)
		(void)plugin_fault(faults, FAULT_NOTE, "class %s%s: it has no table of methods", plugin->class.name, signature);
}

/* ---- all classes ---- */

static bool is_first_class(const struct objpool_class *const *classes, uint32_t at, const char *name)
{
	for (uint32_t i = 0; i < at; i++) {
		const char *other = plugin_class_name(classes[i]);
		if (other && strcmp(other, name) == 0)
			return false;
	}
	return true;
}

static void check_classes(struct plugin *plugin, const char *path, struct plugin_faults *faults)
{
	const struct objpool_class *const *classes = plugin->exported->classes;
	uint32_t n = 0;

	for (; n < CLASSES_MAX && classes[n]; n++) {
		const char *name = plugin_class_name(classes[n]);
		if (!name || !name[0]) {
			(void)plugin_fault(faults, FAULT_ERROR, "class number %u of the plugin has no name: set .name", n + 1);
			continue;
		}
		if (!is_first_class(classes, n, name))
			(void)plugin_fault(faults, FAULT_ERROR, "the plugin has two classes %s", name);
		check_class(plugin, classes[n], path, faults);
	}
	if (n == 0)
		(void)plugin_fault(faults, FAULT_ERROR, "the plugin has no class: .classes is empty");
	if (n == CLASSES_MAX)
		(void)plugin_fault(faults, FAULT_ERROR, "the plugin has more than %d classes: does .classes end with NULL?",
				   CLASSES_MAX);
}

_Noreturn void plugin_check(struct template *template, const char *path)
{
	struct told told = {.faults = {.say = tell}, .template = template};
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	struct plugin plugin = {.settings = template->plugin.settings};

	plugin.exported = plugin_open(path, &told.faults);
	if (plugin.exported && plugin_check_head(plugin.exported, path, &told.faults) == 0)
		check_classes(&plugin, path, &told.faults);
	else if (!plugin.exported)
		plugin_needs(path, &told.faults);
	(void)template_begin_packet(&packet, 1, FROM_LOADED);
	template_send(template, &packet);
	_exit(0);
}
