/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate/model.h"

#include <errno.h>
#include <string.h>

enum { ZONE_CHUNK = 16384 };

/* ---- objects ---- */

static const msgpack_object *find(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; map && map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		if (kv->key.type == MSGPACK_OBJECT_STR && text_is(kv->key.via.str, key))
			return &kv->val;
	}
	return NULL;
}

static model_text find_text(const msgpack_object *map, const char *key)
{
	const msgpack_object *value = find(map, key);

	return value && value->type == MSGPACK_OBJECT_STR ? value->via.str : (model_text){.ptr = ""};
}

static bool find_flag(const msgpack_object *map, const char *key)
{
	const msgpack_object *value = find(map, key);

	return value && value->type == MSGPACK_OBJECT_BOOLEAN && value->via.boolean;
}

static uint32_t length_of(const msgpack_object *array)
{
	return array && array->type == MSGPACK_OBJECT_ARRAY ? array->via.array.size : 0;
}

static void *room_for(struct model *model, size_t count, size_t size)
{
	void *room = msgpack_zone_malloc(&model->zone, count * size + 1);

	if (room)
		memset(room, 0, count * size + 1);
	return room;
}

/* ---- types ---- */

static const struct word {
	const char *word;
	enum type_kind kind;
} words[] =
	{
		{"None", TYPE_NONE}, {"bool", TYPE_BOOL},   {"int", TYPE_INT}, {"float", TYPE_FLOAT},
		{"str", TYPE_STR},   {"bytes", TYPE_BYTES}, {"any", TYPE_ANY}, {"timestamp", TYPE_TIMESTAMP},
},
  forms[] = {
	  {"list", TYPE_LIST},         {"dict", TYPE_DICT},       {"tuple", TYPE_TUPLE}, {"union", TYPE_UNION},
	  {"iterator", TYPE_ITERATOR}, {"ndarray", TYPE_NDARRAY}, {"int", TYPE_INT},     {"record", TYPE_RECORD},
};

static int read_type(struct model *model, const msgpack_object *object, struct type *type);

static void read_word(model_text text, struct type *type)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_is(text, words[i].word))
			type->kind = words[i].kind;
}

static int read_parts(struct model *model, const msgpack_object *parts, struct type *type)
{
	const bool many = parts->type == MSGPACK_OBJECT_ARRAY;
	const uint32_t n = many ? parts->via.array.size : 1;
	struct type *read = room_for(model, n, sizeof *read);

	for (uint32_t i = 0; read && i < n; i++)
		if (read_type(model, many ? &parts->via.array.ptr[i] : parts, &read[i]) < 0)
			return -ENOMEM;
	type->parts = read;
	type->count = n;
	return read ? 0 : -ENOMEM;
}

static void read_pair(const msgpack_object *pair, msgpack_object *first, msgpack_object *second)
{
	const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};

	*first = length_of(pair) == 2 ? pair->via.array.ptr[0] : nil;
	*second = length_of(pair) == 2 ? pair->via.array.ptr[1] : nil;
}

static void read_record(const struct model *model, const msgpack_object *name, struct type *type)
{
	type->kind = TYPE_ANY;
	for (uint32_t i = 0; name->type == MSGPACK_OBJECT_STR && i < model->record_count; i++)
		if (model->records[i].name.size == name->via.str.size &&
		    memcmp(model->records[i].name.ptr, name->via.str.ptr, name->via.str.size) == 0) {
			type->kind = TYPE_RECORD;
			type->record = &model->records[i];
		}
}

/* Has the type as many parts as its kind needs? Else it is any. */
static void check_parts(struct type *type)
{
	if (type->count == 0 || (type->kind == TYPE_DICT && type->count != 2))
		type->kind = TYPE_ANY;
}

static int read_form(struct model *model, const msgpack_object *object, struct type *type)
{
	const msgpack_object *inner = NULL;

	for (size_t i = 0; !inner && i < sizeof forms / sizeof *forms; i++) {
		inner = find(object, forms[i].word);
		type->kind = inner ? forms[i].kind : TYPE_ANY;
	}
	if (!inner)
		return 0;
	if (type->kind == TYPE_RECORD) {
		read_record(model, inner, type);
	} else if (type->kind == TYPE_INT) {
		type->has_limits = length_of(inner) == 2;
		read_pair(inner, &type->low, &type->high);
	} else if (type->kind == TYPE_NDARRAY) {
		read_pair(inner, &type->dtype, &type->dimensions);
	} else {
		if (read_parts(model, inner, type) < 0)
			return -ENOMEM;
		if (type->kind == TYPE_TUPLE && find_flag(object, "rest"))
			type->kind = TYPE_REST;
		check_parts(type);
	}
	return 0;
}

static int read_type(struct model *model, const msgpack_object *object, struct type *type)
{
	*type = (struct type){.kind = TYPE_ANY};
	if (object && object->type == MSGPACK_OBJECT_STR)
		read_word(object->via.str, type);
	return object && object->type == MSGPACK_OBJECT_MAP ? read_form(model, object, type) : 0;
}

/* ---- fields and methods ---- */

static enum field_kind kind_of(model_text kind)
{
	static const char *const names[] = {[FIELD_POSITIONAL] = "positional",
					    [FIELD_EITHER] = "either",
					    [FIELD_KEYWORD] = "keyword",
					    [FIELD_REST] = "rest",
					    [FIELD_KEYWORDS] = "keywords"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (text_is(kind, names[i]))
			return (enum field_kind)i;
	return FIELD_EITHER;
}

static int read_fields(struct model *model, const msgpack_object *array, struct field **fields, uint32_t *count)
{
	const uint32_t n = length_of(array);

	*fields = room_for(model, n, sizeof **fields);
	for (uint32_t i = 0; *fields && i < n; i++) {
		const msgpack_object *told = &array->via.array.ptr[i];
		struct field *field = &(*fields)[i];
		field->name = find_text(told, "name");
		field->kind = kind_of(find_text(told, "kind"));
		field->value = find(told, "default");
		field->optional = field->value || find_flag(told, "optional");
		if (read_type(model, find(told, "type"), &field->type) < 0)
			return -ENOMEM;
	}
	*count = n;
	return *fields ? 0 : -ENOMEM;
}

/* A daemon that knows no types, or a class without a signature: any arguments. */
static int open_method(struct model *model, struct method *method)
{
	method->fields = room_for(model, 2, sizeof *method->fields);
	if (!method->fields)
		return -ENOMEM;
	method->fields[0] = (struct field){.name = {.ptr = "args", .size = 4}, .kind = FIELD_REST};
	method->fields[1] = (struct field){.name = {.ptr = "kwargs", .size = 6}, .kind = FIELD_KEYWORDS};
	method->count = 2;
	return 0;
}

static int read_method(struct model *model, const msgpack_object *told, struct method *method)
{
	const msgpack_object *params = find(told, "params");

	method->name = find_text(told, "name");
	method->signature = find_text(told, "signature");
	method->doc = find_text(told, "doc");
	method->readonly = find_flag(told, "readonly");
	if (read_type(model, find(told, "returns"), &method->returns) < 0)
		return -ENOMEM;
	method->yields = method->returns.kind == TYPE_ITERATOR;
	return params ? read_fields(model, params, &method->fields, &method->count) : open_method(model, method);
}

static int read_methods(struct model *model, const msgpack_object *array)
{
	const uint32_t n = length_of(array);

	model->methods = room_for(model, n, sizeof *model->methods);
	for (uint32_t i = 0; model->methods && i < n; i++) {
		struct method *method = &model->methods[model->method_count];
		if (read_method(model, &array->via.array.ptr[i], method) < 0)
			return -ENOMEM;
		model->method_count += method->name.size > 0;
	}
	return model->methods ? 0 : -ENOMEM;
}

/* All names are known before any field is read: records refer to each other. */
static int read_records(struct model *model, const msgpack_object *map)
{
	const uint32_t n = map && map->type == MSGPACK_OBJECT_MAP ? map->via.map.size : 0;

	model->records = room_for(model, n, sizeof *model->records);
	if (!model->records)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		model->records[i].name = map->via.map.ptr[i].key.type == MSGPACK_OBJECT_STR
						 ? map->via.map.ptr[i].key.via.str
						 : (model_text){.ptr = "record", .size = 6};
	model->record_count = n;
	for (uint32_t i = 0; i < n; i++)
		if (read_fields(model, &map->via.map.ptr[i].val, &model->records[i].fields, &model->records[i].count) < 0)
			return -ENOMEM;
	return 0;
}

/* Keeps the bytes as long as the model: its texts lie in them. */
static int unpack(struct model *model, struct objpool_bytes description, msgpack_object *told)
{
	char *bytes = room_for(model, description.size, 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, description.data, description.size);
	const msgpack_unpack_return r = msgpack_unpack(bytes, description.size, NULL, &model->zone, told);
	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		return -ENOMEM;
	return r == MSGPACK_UNPACK_SUCCESS && told->type == MSGPACK_OBJECT_MAP ? 0 : -EBADMSG;
}

int model_read(struct model *model, struct objpool_bytes description)
{
	msgpack_object told;

	*model = (struct model){.ident = "Client"};
	if (!msgpack_zone_init(&model->zone, ZONE_CHUNK))
		return -ENOMEM;
	int r = unpack(model, description, &told);
	if (r < 0)
		return r;
	model->pool = find_text(&told, "pool");
	model->plugin = find_text(&told, "plugin");
	model->class = find_text(&told, "class");
	model->signature = find_text(&told, "signature");
	model->doc = find_text(&told, "doc");
	r = read_records(model, find(&told, "types"));
	if (r == 0)
		r = read_method(model, find(&told, "constructor"), &model->constructor);
	return r == 0 ? read_methods(model, find(&told, "methods")) : r;
}

void model_free(struct model *model)
{
	if (model->zone.chunk_list.head) /* else there was no memory for it */
		msgpack_zone_destroy(&model->zone);
}

/* ---- questions ---- */

bool field_is_required(const struct field *field)
{
	return !field->optional && field->kind != FIELD_REST && field->kind != FIELD_KEYWORDS;
}

const struct field *method_field(const struct method *method, enum field_kind kind)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (method->fields[i].kind == kind)
			return &method->fields[i];
	return NULL;
}

bool method_has_options(const struct method *method)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (!field_is_required(&method->fields[i]))
			return true;
	return false;
}

const struct type *type_optional(const struct type *type)
{
	if (type->kind != TYPE_UNION || type->count != 2)
		return NULL;
	if (type->parts[0].kind == TYPE_NONE)
		return &type->parts[1];
	return type->parts[1].kind == TYPE_NONE ? &type->parts[0] : NULL;
}

static bool type_uses(const struct type *type, enum type_kind kind)
{
	bool uses = type->kind == kind;

	for (uint32_t i = 0; !uses && i < type->count; i++)
		uses = type_uses(&type->parts[i], kind);
	return uses;
}

static bool fields_use(const struct field *fields, uint32_t count, enum type_kind kind)
{
	for (uint32_t i = 0; i < count; i++)
		if (type_uses(&fields[i].type, kind))
			return true;
	return false;
}

bool model_uses(const struct model *model, enum type_kind kind)
{
	bool uses = fields_use(model->constructor.fields, model->constructor.count, kind);

	for (uint32_t i = 0; !uses && i < model->method_count; i++)
		uses = type_uses(&model->methods[i].returns, kind) ||
		       fields_use(model->methods[i].fields, model->methods[i].count, kind);
	for (uint32_t i = 0; !uses && i < model->record_count; i++)
		uses = fields_use(model->records[i].fields, model->records[i].count, kind);
	return uses;
}

bool model_yields(const struct model *model)
{
	for (uint32_t i = 0; i < model->method_count; i++)
		if (model->methods[i].yields)
			return true;
	return false;
}
