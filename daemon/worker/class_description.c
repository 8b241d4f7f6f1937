/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/class_description.h"

#include "daemon/worker/run.h"

static void pack_pair(msgpack_packer *packer, const char *key, const char *text)
{
	template_pack_text(packer, key);
	template_pack_text(packer, text);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool flag)
{
	template_pack_text(packer, key);
	if (flag)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
}

static void pack_table(const struct plugin *plugin, msgpack_packer *packer)
{
	msgpack_pack_array(packer, plugin->methods_count);
	for (uint32_t i = 0; i < plugin->methods_count; i++) {
		const struct objpool_method method = plugin_method(plugin, i);
		msgpack_pack_map(packer, 3);
		pack_pair(packer, "name", method.name);
		pack_pair(packer, "signature", method.signature);
		pack_pair(packer, "doc", method.doc);
	}
}

/* A class that has dispatch says itself what it takes; else its table does. */
static int pack_methods(struct task *task, msgpack_packer *packer)
{
	const struct objpool_class *class = &task->plugin->class;
	if (!class->list_methods) {
		pack_table(task->plugin, packer);
		return 0;
	}
	return run_outcome(task, "list_methods", class->list_methods(&task->handle.call, packer));
}

static int pack_description(struct task *task, msgpack_packer *packer)
{
	const struct plugin *plugin = task->plugin;
	const struct task_described *described = &task->described;
	const uint32_t hooks = described->given ? described->hooks : UINT32_MAX;

	msgpack_pack_map(packer, 10);
	pack_pair(packer, "plugin", plugin->exported->name);
	pack_pair(packer, "version", plugin->exported->version);
	pack_pair(packer, "class", plugin->class.name);
	pack_pair(packer, "doc", described->doc ? described->doc : plugin->class.doc);
	pack_pair(packer, "signature", described->signature ? described->signature : plugin->class.signature);
	pack_flag(packer, "open", plugin->class.dispatch);
	pack_flag(packer, "session_end", plugin->class.session_end && hooks & OBJPOOL_HOOK_SESSION_END);
	pack_flag(packer, "leased", (plugin->class.leased || plugin->class.released) && hooks & OBJPOOL_HOOK_LEASED);
	pack_flag(packer, "snapshot", plugin->class.snapshot && plugin->class.restore && hooks & OBJPOOL_HOOK_SNAPSHOT);
	template_pack_text(packer, "methods");
	return pack_methods(task, packer);
}

void class_describe(struct template *template, struct task *task)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = template_begin_packet(&packet, 2, FROM_LOADED);

	if (pack_description(task, &packer) < 0)
		template_refuse(template, "%s", method_error_message(&task->handle.error));
	if (packet.failed)
		template_refuse_memory(template);
	if (packet.size > TEMPLATE_PACKET / 2)
		template_refuse(template, "the class describes itself in more than 128 KiB");
	template_send(template, &packet);
	objpool_buffer_free(&packet);
}
