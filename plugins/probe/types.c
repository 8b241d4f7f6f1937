/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class Types: its signatures have every type, every kind of argument and every form of a default. For tests of what describes
 * classes, and of typed clients. Most methods give back what they get, if it is of the type that they declare.
 */
#include "plugins/probe/types.h"

#include "plugins/probe/arguments.h"

#include <string.h>

enum { EXT_TIMESTAMP = -1, EXT_ARRAY = 81, COUNT_MAX = 1000000 };

/* ---- what a value is ---- */

static bool is_nil(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_NIL;
}

static bool is_bool(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_BOOLEAN;
}

static bool is_number(const msgpack_object *value)
{
	return is_integer(value) || is_float(value);
}

static bool is_byte(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= 255;
}

static bool is_text(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_STR;
}

static bool is_data(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_BIN;
}

static bool is_anything(const msgpack_object *value)
{
	(void)value;
	return true;
}

static bool is_timestamp(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_EXT && value->via.ext.type == EXT_TIMESTAMP;
}

static bool is_ndarray(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_EXT && value->via.ext.type == EXT_ARRAY;
}

static bool is_choice(const msgpack_object *value)
{
	return is_integer(value) || is_text(value) || is_nil(value);
}

static bool are_all(const msgpack_object *list, bool (*is)(const msgpack_object *value))
{
	bool all = list->type == MSGPACK_OBJECT_ARRAY;

	for (uint32_t i = 0; all && i < list->via.array.size; i++)
		all = is(&list->via.array.ptr[i]);
	return all;
}

static bool is_integers(const msgpack_object *value)
{
	return are_all(value, is_integer);
}

static bool is_row(const msgpack_object *value)
{
	return are_all(value, is_number);
}

static bool is_pair(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_ARRAY && value->via.array.size == 2 && is_integer(&value->via.array.ptr[0]) &&
	       is_text(&value->via.array.ptr[1]);
}

static bool is_table(const msgpack_object *value)
{
	bool all = value->type == MSGPACK_OBJECT_MAP;

	for (uint32_t i = 0; all && i < value->via.map.size; i++)
		all = is_text(&value->via.map.ptr[i].key) && is_number(&value->via.map.ptr[i].val);
	return all;
}

static const msgpack_object *field_of(const msgpack_object *record, const char *name)
{
	for (uint32_t i = 0; record->type == MSGPACK_OBJECT_MAP && i < record->via.map.size; i++) {
		const msgpack_object_kv *kv = &record->via.map.ptr[i];
		const msgpack_object_str *key = &kv->key.via.str;
		if (is_text(&kv->key) && key->size == strlen(name) && memcmp(key->ptr, name, key->size) == 0)
			return &kv->val;
	}
	return NULL;
}

static bool has(const msgpack_object *record, const char *name, bool (*is)(const msgpack_object *value))
{
	const msgpack_object *field = field_of(record, name);

	return field && is(field);
}

static bool may_have(const msgpack_object *record, const char *name, bool (*is)(const msgpack_object *value))
{
	return !field_of(record, name) || has(record, name, is);
}

static bool is_point(const msgpack_object *value)
{
	return has(value, "x", is_number) && has(value, "y", is_number) && may_have(value, "label", is_text);
}

static bool is_points(const msgpack_object *value)
{
	return are_all(value, is_point);
}

static bool is_bounds(const msgpack_object *value)
{
	return is_nil(value) || (is_points(value) && value->via.array.size == 2);
}

static bool is_path(const msgpack_object *value)
{
	return has(value, "points", is_points) && may_have(value, "closed", is_bool) && may_have(value, "bounds", is_bounds);
}

/* Does not look at the children's children: a caller decides how deep they go. */
static bool is_tree(const msgpack_object *value)
{
	return has(value, "value", is_integer) && may_have(value, "children", is_anything);
}

/* ---- methods that give back what they get ---- */

/* A method's name, its type, and how its argument is checked. */
#define SAME(X) \
	X(none, "None", is_nil) \
	X(boolean, "bool", is_bool) \
	X(integer, "int", is_integer) \
	X(number, "float", is_number) \
	X(text, "str", is_text) \
	X(data, "bytes", is_data) \
	X(anything, "any", is_anything) \
	X(byte, "int[0, 255]", is_byte) \
	X(choice, "int | str | None", is_choice) \
	X(integers, "list[int]", is_integers) \
	X(table, "dict[str, float]", is_table) \
	X(pair, "tuple[int, str]", is_pair) \
	X(row, "tuple[float, ...]", is_row) \
	X(when, "timestamp", is_timestamp) \
	X(array, "ndarray", is_ndarray) \
	X(samples, "ndarray[float64]", is_ndarray) \
	X(image, "ndarray[uint8, 2]", is_ndarray) \
	X(volume, "ndarray[any, 3]", is_ndarray) \
	X(point, "Point", is_point) \
	X(path, "Path", is_path) \
	X(tree, "Tree", is_tree) \
	X(points, "dict[str, list[Point]]", is_anything)

static int same(struct objpool_call *call, const struct objpool_args *args, bool (*is)(const msgpack_object *value),
		const char *type, msgpack_packer *result)
{
	const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL}, *value;

	if (take_one(call, args, "value", &value) < 0)
		return -1;
	if (!value)
		value = &nil;
	if (!is(value))
		return objpool_bad_argument(call, "value must be of type %s", type);
	msgpack_pack_object(result, *value);
	return 0;
}

#define DEFINE(name, type, is) \
	static int types_##name(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result) \
	{ \
		(void)self; \
		return same(call, args, is, type, result); \
	}
SAME(DEFINE)

/* ---- values one by one ---- */

/* Gives the values one by one to a caller that streams, else as one array. `packed` has `n` values. */
static int give(struct objpool_call *call, const struct objpool_buffer *packed, uint32_t n, msgpack_packer *result)
{
	size_t at = 0;

	if (packed->failed)
		return no_memory(call);
	if (objpool_yield(call, NULL, 0) < 0) {
		msgpack_pack_array(result, n);
		put_raw(result, packed->data, packed->size);
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		msgpack_unpacked value;
		const size_t begin = at;
		msgpack_unpacked_init(&value);
		const bool whole = msgpack_unpack_next(&value, packed->data, packed->size, &at) == MSGPACK_UNPACK_SUCCESS;
		msgpack_unpacked_destroy(&value);
		if (!whole)
			return no_memory(call);
		if (objpool_yield(call, packed->data + begin, at - begin) < 0)
			return objpool_fail(call, "Cancelled", "nobody takes the values");
	}
	return 0;
}

static int types_count(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_buffer packed = OBJPOOL_BUFFER_INIT;
	const msgpack_object *value;
	msgpack_packer packer;
	int64_t n = 0;

	(void)self;
	if (take_one(call, args, "n", &value) < 0 || want_integer(call, "n", value, 0, COUNT_MAX, &n) < 0)
		return -1;
	msgpack_packer_init(&packer, &packed, objpool_buffer_write);
	for (int64_t i = 0; i < n; i++)
		msgpack_pack_int64(&packer, i);
	const int r = give(call, &packed, (uint32_t)n, result);
	objpool_buffer_free(&packed);
	return r;
}

static int types_numbered(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_buffer packed = OBJPOOL_BUFFER_INIT;
	const msgpack_object *items;
	msgpack_packer packer;

	(void)self;
	if (take_one(call, args, "items", &items) < 0)
		return -1;
	if (!items || !are_all(items, is_text))
		return objpool_bad_argument(call, "items must be texts");
	msgpack_packer_init(&packer, &packed, objpool_buffer_write);
	for (uint32_t i = 0; i < items->via.array.size; i++) {
		msgpack_pack_array(&packer, 2);
		msgpack_pack_uint32(&packer, i);
		msgpack_pack_object(&packer, items->via.array.ptr[i]);
	}
	const int r = give(call, &packed, items->via.array.size, result);
	objpool_buffer_free(&packed);
	return r;
}

/* ---- all kinds of arguments ---- */

static int types_kinds(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self;
	(void)call;
	msgpack_pack_map(result, 2);
	put_text(result, "places");
	put_array(result, args);
	put_text(result, "keywords");
	put_kwargs(result, args);
	return 0;
}

/* The constructor's defaults have all forms. */
static int types_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	static const char *const names[] = {"origin", "names", "limits", "raw", "rate", "scale", "strict", "secret", NULL};
	const msgpack_object *values[8] = {NULL};

	*self = NULL; /* it has no state */
	if (objpool_take(call, args, names, 1, values) < 0)
		return -1;
	return values[0] && !is_point(values[0]) ? objpool_bad_argument(call, "origin must be a Point") : 0;
}

/* ---- the class ---- */

#define ROW(method, type, is) \
	{.name = #method, .signature = "(value: " type ") -> " type, .doc = "Gives back a value of type " type ".", \
	 .flags = OBJPOOL_METHOD_KWARGS | OBJPOOL_METHOD_READONLY, .call = types_##method, .max_args = 1},

static const struct objpool_method methods[] = {
	SAME(ROW)
	{.name = "count", .signature = "(n: int[0, 1000000]) -> Iterator[int]", .doc = "Yields 0 .. n - 1.",
	 .flags = OBJPOOL_METHOD_KWARGS | OBJPOOL_METHOD_READONLY, .call = types_count, .max_args = 1},
	{.name = "numbered", .signature = "(items: Iterator[str]) -> Iterator[tuple[int, str]]",
	 .doc = "Yields each of the items with its number.",
	 .flags = OBJPOOL_METHOD_KWARGS | OBJPOOL_METHOD_READONLY, .call = types_numbered, .max_args = 1},
	{.name = "kinds",
	 .signature = "(first: int, /, second: int = 2, *rest: int, third: float, fourth: str | None = None, **more: bool) "
		      "-> Kinds",
	 .doc = "What came by place, and what by keyword.\n\nfirst comes by place only, third by keyword only.",
	 .flags = OBJPOOL_METHOD_KWARGS | OBJPOOL_METHOD_READONLY, .call = types_kinds, .min_args = 1, .max_args = -1},
	{.name = NULL},
};

static const char *const records[] = {
	"Point(x: float, y: float, label: str = \"\")",
	"Path(points: list[Point], closed: bool = False, bounds: tuple[Point, Point] | None = None)",
	"Tree(value: int, children: list[Tree] = ...)",
	"Kinds(places: list[any], keywords: dict[str, any])",
	NULL,
};

const struct objpool_class types_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Types",
	.doc = "Has every type in its signatures.",
	.signature = "(origin: Point | None = None, *, names: list[str] = [\"a\", \"b\"], "
		     "limits: dict[str, int] = {\"low\": -1}, raw: bytes = b\"\\x00\\xff\", "
		     "rate: float = 0.5, scale: int = 1, strict: bool = False, secret: str = ...)",
	.create = types_create,
	.methods = methods,
	.types = records,
};
