/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/class_description.h"

#include "daemon/worker/class_types.h"
#include "daemon/worker/run.h"

/* What a description is made of. */
struct describing {
	struct task *task;
	struct class_types types;
	struct objpool_buffer written; /* by list_methods */
	msgpack_unpacked listed;       /* the same as an object, which refers to `written` */
	bool with_types;
};

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

/* ---- methods of a table ---- */

static void pack_table(struct describing *describing, msgpack_packer *packer)
{
	const struct plugin *plugin = describing->task->plugin;
	struct signature signature;

	msgpack_pack_array(packer, plugin->methods_count);
	for (uint32_t i = 0; i < plugin->methods_count; i++) {
		const struct objpool_method method = plugin_method(plugin, i);
		msgpack_pack_map(packer, 3 + (describing->with_types ? SIGNATURE_PAIRS : 0));
		pack_pair(packer, "name", method.name);
		pack_pair(packer, "signature", method.signature);
		pack_pair(packer, "doc", method.doc);
		if (!describing->with_types)
			continue;
		(void)class_types_of_method(&describing->types, &method, &signature); /* class_load has checked it */
		signature_pack(&signature, method.flags & OBJPOOL_METHOD_READONLY, packer);
	}
}

/* ---- methods that the class has listed ---- */

static const msgpack_object *find(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		if (kv->key.type == MSGPACK_OBJECT_STR && type_text_is(kv->key.via.str, key))
			return &kv->val;
	}
	return NULL;
}

static bool is_text(const msgpack_object *value)
{
	return value && value->type == MSGPACK_OBJECT_STR;
}

/* Packs the method's map with the types in it. What the class has written under their names gives way. */
static void pack_with_types(const msgpack_object *method, const struct signature *signature, msgpack_packer *packer)
{
	static const char *const own[SIGNATURE_PAIRS] = {"params", "returns", "yields", "readonly"};
	const msgpack_object *readonly = find(method, "readonly");
	const uint32_t n = method->via.map.size;
	uint32_t taken = 0;

	for (size_t i = 0; i < SIGNATURE_PAIRS; i++)
		taken += find(method, own[i]) != NULL;
	msgpack_pack_map(packer, n - taken + SIGNATURE_PAIRS);
	for (uint32_t i = 0; i < n; i++) {
		const msgpack_object_kv *kv = &method->via.map.ptr[i];
		bool is_own = false;
		for (size_t k = 0; k < SIGNATURE_PAIRS; k++)
			is_own = is_own || find(method, own[k]) == &kv->val;
		if (is_own)
			continue;
		msgpack_pack_object(packer, kv->key);
		msgpack_pack_object(packer, kv->val);
	}
	signature_pack(signature, readonly && readonly->type == MSGPACK_OBJECT_BOOLEAN && readonly->via.boolean, packer);
}

static void pack_listed_method(struct describing *describing, const msgpack_object *method, msgpack_packer *packer)
{
	const msgpack_object *text = find(method, "signature"), *name = find(method, "name");
	struct signature signature;
	char whose[128];

	if (!describing->with_types || !is_text(text) || !is_text(name)) {
		msgpack_pack_object(packer, *method);
		return;
	}
	(void)snprintf(whose, sizeof whose, "method %.*s", type_shown(name->via.str), name->via.str.ptr);
	class_types_of_text(&describing->types, whose, text->via.str.ptr, text->via.str.size, &signature);
	pack_with_types(method, &signature, packer);
}

static void pack_listed(struct describing *describing, msgpack_packer *packer)
{
	const msgpack_object *listed = &describing->listed.data;

	if (listed->type != MSGPACK_OBJECT_ARRAY) {
		msgpack_pack_object(packer, *listed);
		return;
	}
	msgpack_pack_array(packer, listed->via.array.size);
	for (uint32_t i = 0; i < listed->via.array.size; i++)
		pack_listed_method(describing, &listed->via.array.ptr[i], packer);
}

/* A class that has dispatch says itself what it takes; else its table does. */
static void list_methods(struct template *template, struct describing *describing)
{
	struct task *task = describing->task;
	const struct objpool_class *class = &task->plugin->class;
	struct objpool_buffer *written = &describing->written;
	msgpack_packer packer;

	if (!class->list_methods)
		return;
	msgpack_packer_init(&packer, written, objpool_buffer_write);
	if (run_outcome(task, "list_methods", class->list_methods(&task->handle.call, &packer)) < 0)
		template_refuse(template, "%s", method_error_message(&task->handle.error));
	if (written->failed)
		template_refuse_memory(template);
	const msgpack_unpack_return r = msgpack_unpack_next(&describing->listed, written->data, written->size, NULL);
	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		template_refuse_memory(template);
	if (r != MSGPACK_UNPACK_SUCCESS)
		template_refuse(template, "list_methods of class %s wrote no msgpack value", class->name);
}

/* ---- the class ---- */

static void pack_constructor(struct describing *describing, const char *text, msgpack_packer *packer)
{
	struct signature signature;

	if (describing->task->described.signature)
		class_types_of_text(&describing->types, "the constructor", text, strlen(text), &signature);
	else
		(void)class_types_of_constructor(&describing->types, &signature); /* class_load has checked it */
	signature.returns = type_word("None");
	signature.yields = false;
	template_pack_text(packer, "constructor");
	msgpack_pack_map(packer, 1 + SIGNATURE_PAIRS);
	pack_pair(packer, "signature", text);
	signature_pack(&signature, false, packer);
}

static void pack_types(struct describing *describing, const char *signature, msgpack_packer *packer)
{
	pack_constructor(describing, signature, packer);
	template_pack_text(packer, "types");
	class_types_pack_records(&describing->types, packer);
}

static void pack_description(struct describing *describing, msgpack_packer *packer)
{
	const struct plugin *plugin = describing->task->plugin;
	const struct task_described *described = &describing->task->described;
	const uint32_t hooks = described->given ? described->hooks : UINT32_MAX;
	const char *signature = described->signature ? described->signature : plugin->class.signature;

	msgpack_pack_map(packer, describing->with_types ? 12 : 10);
	pack_pair(packer, "plugin", plugin->exported->name);
	pack_pair(packer, "version", plugin->exported->version);
	pack_pair(packer, "class", plugin->class.name);
	pack_pair(packer, "doc", described->doc ? described->doc : plugin->class.doc);
	pack_pair(packer, "signature", signature);
	pack_flag(packer, "open", plugin->class.dispatch);
	pack_flag(packer, "session_end", plugin->class.session_end && hooks & OBJPOOL_HOOK_SESSION_END);
	pack_flag(packer, "leased", (plugin->class.leased || plugin->class.released) && hooks & OBJPOOL_HOOK_LEASED);
	pack_flag(packer, "snapshot", plugin->class.snapshot && plugin->class.restore && hooks & OBJPOOL_HOOK_SNAPSHOT);
	if (describing->with_types)
		pack_types(describing, signature, packer);
	template_pack_text(packer, "methods");
	if (plugin->class.list_methods)
		pack_listed(describing, packer);
	else
		pack_table(describing, packer);
}

/* A class with very many methods is described without types: the packet to the supervisor has a limit. */
static void pack_packet(struct describing *describing, struct objpool_buffer *packet)
{
	msgpack_packer packer;

	describing->with_types = true;
	packer = template_begin_packet(packet, 2, FROM_LOADED);
	pack_description(describing, &packer);
	if (packet->failed || packet->size <= TEMPLATE_PACKET / 2)
		return;
	describing->with_types = false;
	objpool_buffer_clear(packet);
	packer = template_begin_packet(packet, 2, FROM_LOADED);
	pack_description(describing, &packer);
}

void class_describe(struct template *template, struct task *task)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	struct describing describing = {.task = task};

	msgpack_unpacked_init(&describing.listed);
	list_methods(template, &describing);
	if (class_types_begin(&describing.types, &template->plugin, (const char *const *)task->described.types) < 0)
		template_refuse(template, "%s", describing.types.reason);
	pack_packet(&describing, &packet);
	class_types_warn(&describing.types);
	if (packet.failed)
		template_refuse_memory(template);
	if (packet.size > TEMPLATE_PACKET / 2)
		template_refuse(template, "the class describes itself in more than 128 KiB");
	template_send(template, &packet);
	objpool_buffer_free(&packet);
	msgpack_unpacked_destroy(&describing.listed);
	objpool_buffer_free(&describing.written);
	class_types_end(&describing.types);
}
