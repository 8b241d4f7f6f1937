/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/class_types.h"

#include "daemon/worker/types/type.h"

#include <stdio.h>
#include <string.h>

/* Bytes: of a chunk of memory; of a reason's parts (the text that is wrong, what is wrong with it, the sentence around that). */
enum { ZONE_CHUNK = 4096, SHOWN = 120, FAULT = 128, SENTENCE = CLASS_TYPES_REASON - SHOWN - 8 };

/* Writes types->reason: the sentence, and the text that is wrong. The reason of the first that is forgiven stays. Returns -1. */
__attribute__((format(printf, 4, 5))) static int refuse(struct class_types *types, const char *text, size_t size,
							const char *format, ...)
{
	char where[SENTENCE];
	va_list list;

	if (types->wrong > 0)
		return -1;
	va_start(list, format);
	(void)vsnprintf(where, sizeof where, format, list);
	va_end(list);
	(void)snprintf(types->reason, sizeof types->reason, "%s: %.*s%s", where, (int)(size > SHOWN ? SHOWN : size), text,
		       size > SHOWN ? "…" : "");
	return -1;
}

/* ---- records ---- */

static int parse_record(struct class_types *types, const char *text, struct signature *record, msgpack_object_str *name)
{
	char fault[FAULT];

	if (signature_parse_record(record, name, text, strlen(text), &types->zone, &types->names, fault, sizeof fault) == 0)
		return 0;
	return refuse(types, text, strlen(text), "a record of class %s, %s", types->plugin->class.name, fault);
}

/* The names of all records are known before any record is parsed: records refer to each other. */
static int collect_names(struct class_types *types)
{
	const char *class = types->plugin->class.name;
	uint32_t n = 0;
	int r = 0;

	for (; types->records && types->records[n] && n < CLASS_RECORDS_MAX; n++) {
		const char *text = types->records[n];
		types->known[n] = (msgpack_object_str){.ptr = text, .size = (uint32_t)strcspn(text, "( \t")};
		for (uint32_t i = 0; i < n; i++)
			if (type_text_same(types->known[i], types->known[n]))
				r = refuse(types, text, strlen(text), "class %s has two records of this name", class);
	}
	types->names = (struct type_names){.names = types->known, .count = n};
	if (!types->records || !types->records[n])
		return r;
	return refuse(types, types->records[n], strlen(types->records[n]), "class %s has more than %d records", class,
		      CLASS_RECORDS_MAX);
}

static int check_record(struct class_types *types, uint32_t i)
{
	const char *text = types->records[i];
	struct signature record;
	msgpack_object_str name;

	if (type_is_name(types->known[i]))
		return refuse(types, text, strlen(text), "class %s gives a record the name of a type", types->plugin->class.name);
	return parse_record(types, text, &record, &name);
}

static int check_records(struct class_types *types)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < types->names.count; i++)
		r = check_record(types, i);
	return r;
}

static int begin(struct class_types *types, const struct plugin *plugin, const char *const *told)
{
	*types = (struct class_types){.plugin = plugin, .records = told ? told : plugin->class.types};
	if (msgpack_zone_init(&types->zone, ZONE_CHUNK))
		return 0;
	(void)snprintf(types->reason, sizeof types->reason, "out of memory");
	return -1;
}

int class_types_begin(struct class_types *types, const struct plugin *plugin, const char *const *told)
{
	if (begin(types, plugin, told) < 0)
		return -1;
	if (collect_names(types) == 0 && check_records(types) == 0)
		return 0;
	if (!told)
		return -1;
	types->names.count = 0;
	types->wrong = 1;
	return 0;
}

void class_types_end(struct class_types *types)
{
	if (types->zone.chunk_list.head) /* else there was no memory for it */
		msgpack_zone_destroy(&types->zone);
}

void class_types_pack_records(struct class_types *types, msgpack_packer *packer)
{
	struct signature record;
	msgpack_object_str name;

	msgpack_pack_map(packer, types->names.count);
	for (uint32_t i = 0; i < types->names.count; i++) {
		(void)parse_record(types, types->records[i], &record, &name); /* class_types_begin has found it right */
		msgpack_pack_object(packer, type_text(name));
		signature_pack_fields(&record, packer);
	}
}

/* ---- signatures ---- */

static int parse(struct class_types *types, const char *whose, const char *text, size_t size, struct signature *signature)
{
	char fault[FAULT];

	if (signature_parse(signature, text, size, &types->zone, &types->names, fault, sizeof fault) == 0)
		return 0;
	return refuse(types, text, size, "the signature of %s of class %s, %s", whose, types->plugin->class.name, fault);
}

/* Do the counts of the table let through what the signature allows, and nothing that it doesn't? A method may ask for fewer than
 * it needs (it checks itself, as what comes by keyword is not counted), and for any number. */
static int check_counts(struct class_types *types, const struct objpool_method *method, const struct signature *signature)
{
	const int32_t most = signature_max_places(signature), least = signature_min_places(signature);
	const bool keywords = method->flags & OBJPOOL_METHOD_KWARGS;
	const char *text = method->signature, *class = types->plugin->class.name;
	const size_t size = strlen(text);

	if (most < 0 && method->max_args >= 0)
		return refuse(types, text, size,
			      "the signature of method %s of class %s takes any number of arguments, its max_args is %d",
			      method->name, class, method->max_args);
	if (method->max_args >= 0 && method->max_args != most)
		return refuse(types, text, size,
			      "the signature of method %s of class %s takes %d arguments by place, its max_args is %d",
			      method->name, class, most, method->max_args);
	if (method->min_args > least)
		return refuse(types, text, size,
			      "the signature of method %s of class %s needs %d arguments by place, its min_args is %d",
			      method->name, class, least, method->min_args);
	if (signature_takes_keywords(signature) && !keywords)
		return refuse(types, text, size,
			      "the signature of method %s of class %s has keywords, its flags lack OBJPOOL_METHOD_KWARGS",
			      method->name, class);
	return 0;
}

static int parse_method(struct class_types *types, const struct objpool_method *method, struct signature *signature)
{
	char whose[128];

	(void)snprintf(whose, sizeof whose, "method %s", method->name);
	if (parse(types, whose, method->signature, strlen(method->signature), signature) < 0)
		return -1;
	return check_counts(types, method, signature);
}

/* A signature that is wrong counts as none, where the class may be wrong. */
static int forgive(struct class_types *types)
{
	if (types->plugin->has_types)
		return -1;
	types->wrong++;
	return 0;
}

int class_types_of_method(struct class_types *types, const struct objpool_method *method, struct signature *signature)
{
	const bool keywords = method->flags & OBJPOOL_METHOD_KWARGS;
	const bool told = method->signature && method->signature[0];

	if (!told || parse_method(types, method, signature) < 0) {
		if (told && forgive(types) < 0)
			return -1;
		signature_open(signature, method->max_args != 0, keywords);
	}
	if (!keywords)
		signature_drop_keywords(signature);
	return 0;
}

int class_types_of_constructor(struct class_types *types, struct signature *signature)
{
	const char *text = types->plugin->class.signature;

	if (text && text[0] && parse(types, "the constructor", text, strlen(text), signature) == 0)
		return 0;
	if (text && text[0] && forgive(types) < 0)
		return -1;
	signature_open(signature, true, true);
	return 0;
}

void class_types_of_text(struct class_types *types, const char *whose, const char *text, size_t size, struct signature *signature)
{
	if (size > 0 && parse(types, whose, text, size, signature) == 0)
		return;
	types->wrong += size > 0;
	signature_open(signature, true, true);
}

/* ---- all of them ---- */

static int check_all(struct class_types *types)
{
	struct signature signature;

	for (uint32_t i = 0; i < types->plugin->methods_count; i++) {
		const struct objpool_method method = plugin_method(types->plugin, i);
		if (class_types_of_method(types, &method, &signature) < 0)
			return -1;
	}
	return class_types_of_constructor(types, &signature);
}

int class_types_check(const struct plugin *plugin, char *reason, size_t size)
{
	struct class_types types;
	int r = class_types_begin(&types, plugin, NULL);

	if (r == 0)
		r = check_all(&types);
	if (r < 0)
		(void)snprintf(reason, size, "%s", types.reason);
	class_types_end(&types);
	return r;
}

/* Says what is wrong, and forgets it, so that the next reason is kept. */
static void say_wrong(struct class_types *types, int r, struct plugin_faults *faults)
{
	if (r < 0)
		(void)plugin_fault(faults, FAULT_ERROR, "%s", types->reason);
	else if (types->wrong > 0)
		(void)plugin_fault(faults, FAULT_WARNING, "described without types: %s", types->reason);
	types->wrong = 0;
}

void class_types_faults(const struct plugin *plugin, struct plugin_faults *faults)
{
	struct class_types types;
	struct signature signature;

	const int r = begin(&types, plugin, NULL);
	say_wrong(&types, r < 0 ? r : collect_names(&types), faults);
	for (uint32_t i = 0; r == 0 && i < types.names.count; i++)
		say_wrong(&types, check_record(&types, i), faults);
	for (uint32_t i = 0; r == 0 && i < plugin->methods_count; i++) {
		const struct objpool_method method = plugin_method(plugin, i);
		say_wrong(&types, class_types_of_method(&types, &method, &signature), faults);
	}
	if (r == 0)
		say_wrong(&types, class_types_of_constructor(&types, &signature), faults);
	class_types_end(&types);
}

void class_types_warn(const struct class_types *types)
{
	if (types->wrong == 1)
		(void)fprintf(stderr, "described without types: %s\n", types->reason);
	else if (types->wrong > 1)
		(void)fprintf(stderr, "%u signatures are described without types; the first: %s\n", types->wrong, types->reason);
}
